#include "volume_records.hpp"

#include "volume_core.hpp"

#include <ashlar/record_migration.hpp>

#include <algorithm>

namespace cli {
namespace {

using program_migration = ashlar::record_migration<program_volume>;

program_migration::options options_of(const migration_settings& settings) {
    program_migration::options options;
    options.throttle = throttle_for(settings.bytes_per_second);
    return options;
}

}  // namespace

struct volume_records::core {
    volume::core&         of;
    ashlar::record_target target{};
    program_migration     task;
};

volume_records::volume_records(volume& of, const migration_settings& settings)
    : core_{std::make_unique<core>(core{*of.core_,
                                        {.record_bytes = settings.record_bytes},
                                        program_migration{of.core_->store, options_of(settings)}})} {}
volume_records::~volume_records() = default;

result<migration_plan_facts> volume_records::plan() {
    const auto plan = core_->task.plan(core_->target);
    if (!plan) return core_->of.failed("cannot plan a migration of the records", plan.error());
    const auto& made = plan.value();
    return migration_plan_facts{made.obstacle,    made.records,    made.blocks.value, made.parts,
                                made.freed.value, made.bytes_read, made.bytes_written};
}

ashlar::migration_phase volume_records::phase() { return core_->task.phase(); }
std::uint32_t           volume_records::width_under_way() { return core_->of.store.volume().migration.record_bytes; }
void                    volume_records::start() { core_->task.start(core_->target); }
void                    volume_records::cancel() { core_->task.cancel(); }

ashlar::progress volume_records::step(std::uint64_t bytes_max) {
    return core_->task.step({.blocks_max = std::max<std::uint64_t>(1, bytes_max / core_->of.store.info().block.bytes)});
}

migration_facts volume_records::migrated() const {
    const auto& done = core_->task.last_result();
    return {done.finished, done.resumed, done.records, done.blocks.value, done.failure};
}

}  // namespace cli
