#include "app/services.h"

#include <aws/apigatewayv2/model.h>
#include <aws/application-autoscaling/model.h>
#include <aws/cloudformation/model.h>
#include <aws/cloudwatch/model.h>
#include <aws/dynamodb/model.h>
#include <aws/dynamodbstreams/model.h>
#include <aws/events/model.h>
#include <aws/iam/model.h>
#include <aws/lambda/model.h>
#include <aws/logs/model.h>
#include <aws/organizations/model.h>
#include <aws/pipes/model.h>
#include <aws/s3/model.h>
#include <aws/scheduler/model.h>
#include <aws/sns/model.h>
#include <aws/sqs/model.h>
#include <aws/sts/model.h>

#include "kernel/cloud.h"
#include "services/apigatewayv2/api.h"
#include "services/application-autoscaling/api.h"
#include "services/cloudformation/api.h"
#include "services/cloudwatch/api.h"
#include "services/dynamodb/api.h"
#include "services/events/api.h"
#include "services/lambda/api.h"
#include "services/logs/api.h"
#include "services/organizations/api.h"
#include "services/pipes/api.h"
#include "services/s3/api.h"
#include "services/scheduler/api.h"
#include "services/sns/api.h"
#include "services/sqs/api.h"
#include "services/sts/api.h"

namespace virga::app {

void add_services(kernel::Deps& deps, sandbox::Sandboxes& sandboxes, const ServiceOptions& options) {
  kernel::Cloud& cloud = deps.cloud;
  iam::Iam identity = iam::make_iam(deps, options.iam);
  cloud.authorizer().set_identity_source(&identity.directory);
  cloud.add(std::move(identity.service));
  cloud.add(sts::make_sts(deps, identity.directory));
  cloud.add(organizations::make_organizations(deps));
  cloud.add(logs::make_logs(deps));
  cloud.add(cloudwatch::make_cloudwatch(deps));
  auto functions = lambda::make_lambda(deps, sandboxes, options.functions);
  cloud.add(applicationautoscaling::make_applicationautoscaling(
      deps, [&lambda = *functions](auto... of) { return lambda::provisioned_use(lambda, std::move(of)...); }));
  cloud.add(std::move(functions));
  cloud.add(s3::make_s3(deps));
  cloud.add(dynamodb::make_dynamodb(deps));
  cloud.add(dynamodb::make_dynamodbstreams(deps));
  auto queues = sqs::make_sqs(deps, options.elapsed);
  cloud.add(sns::make_sns(deps, sqs::post_of(*queues), options.executors));
  cloud.add(std::move(queues));
  cloud.add(apigatewayv2::make_apigatewayv2(deps));
  cloud.add(events::make_events(deps));
  cloud.add(scheduler::make_scheduler(deps));
  cloud.add(pipes::make_pipes(deps));
  cloud.add(cloudformation::make_cloudformation(deps));
}

std::vector<const wire::ServiceModel*> service_models() {
  return {&apigatewayv2::kModel,
          &applicationautoscaling::kModel,
          &cloudformation::kModel,
          &cloudwatch::kModel,
          &dynamodb::kModel,
          &dynamodbstreams::kModel,
          &events::kModel,
          &iam::kModel,
          &lambda::kModel,
          &logs::kModel,
          &organizations::kModel,
          &pipes::kModel,
          &s3::kModel,
          &scheduler::kModel,
          &sns::kModel,
          &sqs::kModel,
          &sts::kModel};
}

}  // namespace virga::app
