#include "services/pipes/service.h"

#include <aws/pipes/model.h>

#include "services/pipes/api.h"

namespace virga::pipes {

namespace {

template <class In>
std::string by_name(const Ctx& ctx, const In& in) {
  return pipe_arn(home_of(ctx), in.name);
}
template <class In>
std::string by_arn(const Ctx&, const In& in) {
  return in.resource_arn;
}

}  // namespace

const wire::ServiceModel& PipesService::model() const { return kModel; }

void PipesService::operations(kernel::OpTable& t) {
  using S = PipesService;
  t.add<op::CreatePipe>(this, &S::create_pipe).resource(by_name<CreatePipeRequest>);
  t.add<op::UpdatePipe>(this, &S::update_pipe).resource(by_name<UpdatePipeRequest>);
  t.add<op::DeletePipe>(this, &S::delete_pipe).resource(by_name<DeletePipeRequest>);
  t.add<op::DescribePipe>(this, &S::describe_pipe).resource(by_name<DescribePipeRequest>);
  t.add<op::ListPipes>(this, &S::list_pipes);
  t.add<op::StartPipe>(this, &S::start_pipe).resource(by_name<StartPipeRequest>);
  t.add<op::StopPipe>(this, &S::stop_pipe).resource(by_name<StopPipeRequest>);
  t.add<op::TagResource>(this, &S::tag_resource).resource(by_arn<TagResourceRequest>);
  t.add<op::UntagResource>(this, &S::untag_resource).resource(by_arn<UntagResourceRequest>);
  t.add<op::ListTagsForResource>(this, &S::list_tags_for_resource).resource(by_arn<ListTagsForResourceRequest>);
}

std::unique_ptr<kernel::Service> make_pipes(kernel::Deps& deps) { return std::make_unique<PipesService>(deps); }

}  // namespace virga::pipes
