#include "services/organizations/service.h"

#include <aws/organizations/errors.h>
#include <aws/organizations/model.h>

#include "services/organizations/api.h"

namespace virga::organizations {

const wire::ServiceModel& OrganizationsService::model() const { return kModel; }

void OrganizationsService::operations(kernel::OpTable& t) {
  using S = OrganizationsService;
  t.add<op::CreateOrganization>(this, &S::create_organization);
  t.add<op::DescribeOrganization>(this, &S::describe_organization);
  t.add<op::DeleteOrganization>(this, &S::delete_organization);
  t.add<op::CreateAccount>(this, &S::create_account);
  t.add<op::DescribeCreateAccountStatus>(this, &S::describe_create_account_status);
  t.add<op::ListCreateAccountStatus>(this, &S::list_create_account_status);
  t.add<op::ListAccounts>(this, &S::list_accounts);
  t.add<op::DescribeAccount>(this, &S::describe_account);
}

std::unique_ptr<kernel::Service> make_organizations(kernel::Deps& deps) {
  return std::make_unique<OrganizationsService>(deps);
}

}  // namespace virga::organizations
