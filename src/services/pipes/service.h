#pragma once

#include <aws/pipes/ops.h>
#include <aws/pipes/types.h>

#include <map>
#include <mutex>
#include <string>

#include "kernel/cloud.h"
#include "kernel/context.h"
#include "kernel/deps.h"
#include "kernel/service.h"
#include "services/lambda/esm/api.h"
#include "services/pipes/flow.h"
#include "services/pipes/store.h"

namespace virga::pipes {

using kernel::Ctx;
using lambda::esm::Mapping;

class PipesService final : public kernel::Service, private lambda::esm::Functions {
 public:
  explicit PipesService(kernel::Deps& deps) : deps_(deps), engine_(deps, *this, "pipes") {}
  const wire::ServiceModel& model() const override;
  void operations(kernel::OpTable& table) override;
  Task<void> start() override { co_await engine_.start(); }
  Task<void> stop() override { co_await engine_.stop(); }

 private:
  // ops_pipe.cc
  Task<CreatePipeResponse> create_pipe(Ctx& ctx, const CreatePipeRequest& in);
  Task<UpdatePipeResponse> update_pipe(Ctx& ctx, const UpdatePipeRequest& in);
  Task<DeletePipeResponse> delete_pipe(Ctx& ctx, const DeletePipeRequest& in);
  Task<DescribePipeResponse> describe_pipe(Ctx& ctx, const DescribePipeRequest& in);
  Task<ListPipesResponse> list_pipes(Ctx& ctx, const ListPipesRequest& in);
  Task<StartPipeResponse> start_pipe(Ctx& ctx, const StartPipeRequest& in);
  Task<StopPipeResponse> stop_pipe(Ctx& ctx, const StopPipeRequest& in);
  Task<TagResourceResponse> tag_resource(Ctx& ctx, const TagResourceRequest& in);
  Task<UntagResourceResponse> untag_resource(Ctx& ctx, const UntagResourceRequest& in);
  Task<ListTagsForResourceResponse> list_tags_for_resource(Ctx& ctx, const ListTagsForResourceRequest& in);
  Task<std::map<std::string, std::string>> look_at_source(Mapping mapping, std::string role);
  Task<PipeRecord> turn(Ctx& ctx, std::string name, bool on);
  // The pipe and the mapping by which its source is read. Fails with NotFoundException.
  Task<std::pair<PipeRecord, Mapping>> load(kv::Reader& reader, Home home, std::string name);
  // CurrentState and StateReason.
  std::pair<std::string, std::string> state_of(const PipeRecord& pipe, const Mapping& mapping) const;

  // flow.cc: what becomes of a batch.
  Task<lambda::esm::Ran> run_for_mapping(Mapping mapping, std::string event, std::string trace) override;
  Task<std::string> role_for_mapping(Mapping mapping) override;
  Task<kernel::Principal> session_for_mapping(Mapping mapping) override;
  Task<kernel::TargetDelivery> letter_for_mapping(Mapping mapping, lambda::esm::Discarded discarded) override;
  Task<void> mapping_gone(kv::Txn& tx, Mapping mapping) override;
  Task<kernel::Principal> session(Mapping mapping, std::string role);
  Task<std::vector<size_t>> send(Ctx& ctx, const Flow& flow, std::string id);
  Task<std::string> flow_through(Mapping mapping, std::string event, std::string trace);
  void note(const std::string& id, std::string problem);

  kernel::Deps& deps_;
  lambda::esm::Engine engine_;
  mutable std::mutex mutex_;
  std::map<std::string, std::string> problems_;  // by mapping: why its last batch failed
};

}  // namespace virga::pipes
