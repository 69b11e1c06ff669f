#include <aws/events/errors.h>

#include "base/str.h"
#include "services/events/limits.h"
#include "services/events/list.h"
#include "services/events/service.h"

namespace virga::events {
namespace {

std::string archive_arn(const Home& home, std::string_view name) {
  return cat("arn:aws:events:", home.region, ":", home.account, ":archive/", name);
}

Error no_archive(std::string_view name) {
  return err::ResourceNotFoundException(cat("Archive ", name, " does not exist."));
}

template <class In>
void check(const In& in) {
  if (in.event_pattern && !in.event_pattern->empty()) check_pattern(*in.event_pattern);
  if (in.kms_key_identifier && !in.kms_key_identifier->empty()) {
    throw err::ValidationException("KmsKeyIdentifier is not served: archives are not encrypted with KMS keys.");
  }
}

}  // namespace

Task<CreateArchiveResponse> EventsService::create_archive(Ctx& ctx, const CreateArchiveRequest& in) {
  check(in);
  const BusName bus = any_bus_named(ctx, in.event_source_arn);
  if (!is_own(ctx, bus)) co_return no_bus(bus.name);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<CreateArchiveResponse> {
    const Home home = home_of(ctx);
    WriteStore store(tx, home);
    if (bus.name != "default" && !co_await store.find<BusRecord>(bus.name)) co_return no_bus(bus.name);
    if (co_await store.find<ArchiveRecord>(in.archive_name)) {
      co_return err::ResourceAlreadyExistsException(cat("Archive ", in.archive_name, " already exists."));
    }
    ArchiveRecord archive;
    archive.name = in.archive_name;
    archive.bus = bus.name;
    archive.description = in.description.value_or("");
    archive.pattern = in.event_pattern.value_or("");
    archive.retention_days = in.retention_days.value_or(0);
    archive.created = ctx.now();
    store.put(archive);
    change(tx, home, bus.name);
    co_await deps_.timers.set(tx, {"events.expire", archive_arn(home, archive.name), ctx.now() + kExpiry, ""});
    CreateArchiveResponse out;
    out.archive_arn = archive_arn(home, archive.name);
    out.state = ArchiveState::ENABLED;
    out.creation_time = archive.created;
    co_return out;
  });
}

Task<DeleteArchiveResponse> EventsService::delete_archive(Ctx& ctx, const DeleteArchiveRequest& in) {
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<DeleteArchiveResponse> {
    const Home home = home_of(ctx);
    WriteStore store(tx, home);
    const auto archive = co_await store.find<ArchiveRecord>(in.archive_name);
    if (!archive) co_return no_archive(in.archive_name);
    store.erase<ArchiveRecord>(in.archive_name);
    store.erase_archive(in.archive_name);
    change(tx, home, archive->bus);
    co_await deps_.timers.clear(tx, "events.expire", archive_arn(home, in.archive_name));
    co_return DeleteArchiveResponse{};
  });
}

Task<DescribeArchiveResponse> EventsService::describe_archive(Ctx& ctx, const DescribeArchiveRequest& in) {
  const auto snapshot = deps_.db.snapshot();
  const Home home = home_of(ctx);
  const Store store(*snapshot, home);
  const auto archive = co_await store.find<ArchiveRecord>(in.archive_name);
  if (!archive) co_return no_archive(in.archive_name);
  const Store::Sum sum = co_await store.sum_archive(in.archive_name);
  DescribeArchiveResponse out;
  out.archive_arn = archive_arn(home, archive->name);
  out.archive_name = archive->name;
  out.event_source_arn = bus_arn(home, archive->bus);
  if (!archive->description.empty()) out.description = archive->description;
  if (!archive->pattern.empty()) out.event_pattern = archive->pattern;
  out.state = ArchiveState::ENABLED;
  out.retention_days = static_cast<int32_t>(archive->retention_days);
  out.size_bytes = sum.bytes;
  out.event_count = sum.events;
  out.creation_time = archive->created;
  co_return out;
}

Task<ListArchivesResponse> EventsService::list_archives(Ctx& ctx, const ListArchivesRequest& in) {
  if ((in.name_prefix.has_value() + in.event_source_arn.has_value() + in.state.has_value()) > 1) {
    co_return err::ValidationException(
        "At most one filter is allowed for ListArchives. Use either : State, EventSourceArn, or NamePrefix.");
  }
  const Home home = home_of(ctx);
  const auto snapshot = deps_.db.snapshot();
  if (in.event_source_arn) {
    const BusName bus = any_bus_named(ctx, in.event_source_arn);
    const bool there = bus.name == "default" || co_await Store(*snapshot, home).find<BusRecord>(bus.name);
    if (!is_own(ctx, bus) || !there) co_return no_bus(bus.name);
  }
  ListArchivesResponse out;
  out.archives.emplace();
  const auto page = co_await list_page<ArchiveRecord>(
      deps_, ctx, {"events:ListArchives", in.name_prefix.value_or(""), in.next_token, in.limit, home, ""},
      out.next_token, [&](const ArchiveRecord& a) {
        return (!in.event_source_arn || bus_arn(home, a.bus) == *in.event_source_arn) &&
               (!in.state || *in.state == ArchiveState::ENABLED);
      });
  for (const ArchiveRecord& archive : page) {
    const Store::Sum sum = co_await Store(*snapshot, home).sum_archive(archive.name);
    Archive& a = out.archives->emplace_back();
    a.archive_name = archive.name;
    a.event_source_arn = bus_arn(home, archive.bus);
    a.state = ArchiveState::ENABLED;
    a.retention_days = static_cast<int32_t>(archive.retention_days);
    a.size_bytes = sum.bytes;
    a.event_count = sum.events;
    a.creation_time = archive.created;
  }
  co_return out;
}

Task<UpdateArchiveResponse> EventsService::update_archive(Ctx& ctx, const UpdateArchiveRequest& in) {
  check(in);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<UpdateArchiveResponse> {
    const Home home = home_of(ctx);
    WriteStore store(tx, home);
    auto archive = co_await store.find<ArchiveRecord>(in.archive_name);
    if (!archive) co_return no_archive(in.archive_name);
    if (in.description) archive->description = *in.description;
    if (in.event_pattern) archive->pattern = *in.event_pattern;
    if (in.retention_days) archive->retention_days = *in.retention_days;
    store.put(*archive);
    change(tx, home, archive->bus);
    UpdateArchiveResponse out;
    out.archive_arn = archive_arn(home, archive->name);
    out.state = ArchiveState::ENABLED;
    out.creation_time = archive->created;
    co_return out;
  });
}

Task<void> EventsService::expire(kernel::Timer timer) {
  const auto arn = kernel::parse_arn(timer.id);
  if (!arn) co_return;
  const Time now = deps_.clock.now();
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx, {arn->account, arn->region});
    const std::string name = arn->resource.substr(8);  // archive/…
    const auto archive = co_await store.find<ArchiveRecord>(name);
    if (!archive) {
      co_await deps_.timers.clear(tx, timer.kind, timer.id);
      co_return;
    }
    if (archive->retention_days > 0) {
      store.expire_archive(name, now - std::chrono::hours(24) * archive->retention_days);
    }
    co_await deps_.timers.set(tx, {timer.kind, timer.id, now + kExpiry, ""});
  });
}

}  // namespace virga::events
