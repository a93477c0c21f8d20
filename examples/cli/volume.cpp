#include "volume_core.hpp"

#include "descriptor.hpp"
#include "target.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>

namespace cli {
namespace {

/// One pass over everything, as fast as intensity and rate allow, each target read back before its source goes.
program_store::options options_of(const defrag_settings& settings) {
    program_store::options options;
    options.limits.cache_blocks            = 4096;
    options.limits.unsynced_blocks         = 8192;
    options.limits.unsynced_runs           = 2048;
    options.limits.indirection_entries_max = 1U << 18U;  // at once: a gibibyte in blocks of 4096 bytes
    options.throttle                       = throttle_for(settings.bytes_per_second);
    options.defrag.bytes_per_second        = options.throttle.bytes_per_second;
    options.defrag.threshold_permille      = 0;  // who asks for a defragmentation gets one
    options.defrag.cycle_blocks_max        = {};
    options.defrag.cycle_interval          = {};
    options.defrag.extents_min             = settings.extents_min;
    options.defrag.verify_target           = true;
    switch (settings.strength) {
        case intensity::low: options.defrag.priority = ashlar::defrag_intensity::low; break;
        case intensity::medium: options.defrag.priority = ashlar::defrag_intensity::medium; break;
        case intensity::high: options.defrag.priority = ashlar::defrag_intensity::high; break;
        case intensity::unpaced: options.defrag.priority = ashlar::defrag_intensity::unpaced; break;
    }
    return options;
}

/// 16 bytes that no other volume has.
result<ashlar::volume_id> fresh_id() {
    ashlar::volume_id id{};
    if (::getrandom(id.data(), id.size(), 0) != static_cast<ssize_t>(id.size()))
        return system_failure("the system gives no random numbers", "", errno);
    return id;
}

std::uint64_t nanoseconds_of_epoch() {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
            .count());
}

failure open_failure(const std::string& path, ashlar::error error) {
    if (error.code == ashlar::errc::busy) {
        const bool system_uses_it = error.os_code == EBUSY;
        return {exit_code::busy, system_uses_it ? "the system uses the device" : "another process has the volume open",
                path, system_uses_it ? "unmount it first" : "wait for that process, or end it"};
    }
    if (error.code == ashlar::errc::not_found)
        return {exit_code::not_found, "no such volume", path, "check the path; 'ashlar format' makes a volume"};
    return store_failure("cannot open the volume", path, error);
}

/// Formats what `place` leads to, which errors call by the path of the request.
result<> format_device(const format_request& request, const std::string& place) {
    const bool                  grows = request.create;
    ashlar::file_device_options how{.block_bytes = request.block_bytes, .create = grows, .bytes = request.bytes};
    auto                        device = ashlar::native_device::open(place.c_str(), how);
    if (!device && device.error().os_code == EBUSY &&
        request.overwrite) {  // mounted, and its user wants it gone all the same
        how.lock = false;
        device   = ashlar::native_device::open(place.c_str(), how);
    }
    if (!device) return open_failure(request.path, device.error());
    if (grows && !request.sparse) {
        BOOST_OUTCOME_TRY(reserve_space(device.value().native_handle(), 0, request.bytes, request.path));
    }
    BOOST_OUTCOME_TRY(const auto id, fresh_id());
    ashlar::format_options chosen{
        .volume = id, .label = request.label, .created = nanoseconds_of_epoch(), .overwrite = request.overwrite};
    if (request.record_bytes != 0) chosen.record_bytes = request.record_bytes;
    chosen.inline_extents = request.inline_extents;
    const auto made       = program_store::format(device.value(), chosen);
    if (!made && made.error().code == ashlar::errc::out_of_range) {
        return failure{
            exit_code::usage,
            fmt::format("{} bytes are too few for a volume with blocks of {}", request.bytes, request.block_bytes),
            request.path, "use a larger --size"};
    }
    if (!made) return store_failure("cannot format", request.path, made.error());
    return success();
}

/// Formats a file that has no name yet and then gives it one: whatever ends this process, nobody finds half a volume.
/// Where the file system has no such files, the other way is taken.
result<> format_new_file(const format_request& request) {
    const std::filesystem::path path{request.path};
    const auto                  folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path{"."};
    std::error_code             ignored;
    const bool                  vacant = !std::filesystem::exists(std::filesystem::symlink_status(path, ignored));
    const descriptor            file{vacant ? ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0644) : -1};
    const auto                  place = fmt::format("/proc/self/fd/{}", file.number());
    if (!file.open() || ::access(place.c_str(), F_OK) != 0 ||
        ::ftruncate(file.number(), static_cast<off_t>(request.bytes)) != 0) {
        return format_device(request, request.path);
    }
    BOOST_OUTCOME_TRY(format_device(request, place));
    if (::linkat(AT_FDCWD, place.c_str(), AT_FDCWD, request.path.c_str(), AT_SYMLINK_FOLLOW) != 0)
        return system_failure("cannot give the new volume its name", request.path, errno);
    const descriptor names{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!names.open() || ::fsync(names.number()) != 0)
        return system_failure("cannot make the new volume's name durable", request.path, errno);
    return success();
}

/// What can be told about a file before a store looks at it, in better words than an error code has.
result<std::uint32_t> check_volume(const std::string& path) {
    BOOST_OUTCOME_TRY(const auto seen, look_at(path));
    if (!seen.exists)
        return failure{exit_code::not_found, "no such volume", path, "check the path; 'ashlar format' makes a volume"};
    if (!seen.holds_volume) {
        const auto what = seen.bytes == 0      ? std::string{"an empty file"}
                          : seen.holds.empty() ? std::string{"nothing but zeros"}
                                               : seen.holds;
        return failure{exit_code::corrupt, fmt::format("no ashlar volume: {} stands here", what), path,
                       "check the path; 'ashlar format' makes a volume"};
    }
    if (seen.block_bytes == 0) {
        return failure{exit_code::corrupt, "neither the superblock nor its mirror is whole", path,
                       "restore the volume from its source, or format it again"};
    }
    if (seen.bytes / seen.block_bytes < seen.blocks) {
        return failure{exit_code::corrupt,
                       fmt::format("the volume has {} bytes and only {} are here: the file or device shrank",
                                   seen.blocks * seen.block_bytes, seen.bytes),
                       path, "give it its size back, with truncate -s or on the larger device, and verify it"};
    }
    return seen.block_bytes;
}

std::string text_of(const ashlar::verify_finding& finding) {
    auto text = fmt::format("block {} {}", finding.block.value, ashlar::message(finding.problem));
    if (finding.object) text += fmt::format(", object {}", finding.object.value);
    if (finding.why.code != ashlar::errc::none) text += fmt::format(": {}", ashlar::message(finding.why.code));
    return text;
}

std::array<std::byte, ashlar::attribute_bytes> attributes_of(object_tag tag) {
    std::array<std::byte, ashlar::attribute_bytes> bytes{};
    ashlar::store_little<std::uint32_t>(bytes.data(), static_cast<std::uint32_t>(tag));
    return bytes;
}

}  // namespace

volume::volume(std::unique_ptr<core> inner) noexcept : core_{std::move(inner)} {}
volume::volume(volume&&) noexcept            = default;
volume& volume::operator=(volume&&) noexcept = default;
volume::~volume()                            = default;

result<> volume::format(const format_request& request) {
    auto done = request.create ? format_new_file(request) : format_device(request, request.path);
    if (!done && request.create && done.error().code != exit_code::busy)
        ::unlink(request.path.c_str());  // half a volume is of no use
    return done;
}

result<volume> volume::open(const std::string& path, access mode, const defrag_settings& settings) {
    BOOST_OUTCOME_TRY(const auto block_bytes, check_volume(path));
    const bool read_only = mode == access::read_only;
    auto       device = ashlar::native_device::open(path.c_str(), {.block_bytes = block_bytes, .read_only = read_only});
    if (!device) return open_failure(path, device.error());

    auto inner    = std::make_unique<core>();
    inner->path   = path;
    inner->direct = device.value().direct() == ashlar::direct_state::in_use;

    const auto options = options_of(settings);
    auto       opened  = read_only ? program_store::open_read_only(std::move(device.value()), options)
                                   : program_store::open(std::move(device.value()), options);
    if (!opened) return open_failure(path, opened.error());
    inner->store = std::move(opened.value());
    return volume{std::move(inner)};
}

result<volume> volume::open_finished(const std::string& path, access mode, const defrag_settings& settings) {
    if (mode != access::read_only) { BOOST_OUTCOME_TRY(open_finished(path, access::read_only)); }
    BOOST_OUTCOME_TRY(auto opened, open(path, mode, settings));
    BOOST_OUTCOME_TRY(opened.expect_finished());
    return opened;
}

result<> volume::close() {
    const auto done = core_->store.close();
    if (!done) return core_->failed("cannot close the volume", done.error());
    return success();
}

const std::string&             volume::path() const { return core_->path; }
const ashlar::recovery_report& volume::recovered() const { return core_->store.recovered(); }
bool                           volume::direct() const { return core_->direct; }
ashlar::time_point             volume::now() const { return core_->clock.now(); }

volume_facts volume::facts() const {
    const auto info = core_->store.info();
    return {.label            = info.label.data(),
            .id               = info.volume,
            .block_bytes      = info.block.bytes,
            .blocks           = info.blocks.value,
            .free_blocks      = info.free.value,
            .available_blocks = info.available.value,
            .objects          = info.objects,
            .groups           = info.groups,
            .journal_blocks   = info.journal.count.value,
            .epoch            = info.epoch,
            .sequence         = info.last.value,
            .created          = info.created,
            .record_bytes     = info.record_bytes,
            .inline_extents   = core_->store.volume().inline_extents};
}

ashlar::object_id volume::root() const { return core_->store.root(); }
std::uint64_t     volume::write_bytes_max() const { return core_->store.write_bytes_max(); }

result<ashlar::object_id> volume::create(object_tag tag) {
    const auto id = core_->store.create();
    if (!id) return core_->failed("cannot create an object", id.error());
    const auto tagged = core_->store.set_attributes(id.value(), attributes_of(tag));
    if (!tagged) return core_->failed("tag", id.value(), tagged.error());
    return id.value();
}

result<> volume::erase(ashlar::object_id id) {
    const auto done = core_->store.erase(id);
    if (!done) return core_->failed("erase", id, done.error());
    return success();
}

result<std::size_t> volume::read(ashlar::object_id id, std::uint64_t offset, std::span<std::byte> into) {
    const auto got = core_->store.read(id, offset, into);
    if (!got) return core_->failed("read", id, got.error());
    return got.value();
}

result<> volume::write(ashlar::object_id id, std::uint64_t offset, std::span<const std::byte> bytes) {
    const auto most = static_cast<std::size_t>(write_bytes_max());
    while (!bytes.empty()) {
        const auto piece = bytes.first(std::min(most, bytes.size()));
        const auto done  = core_->store.write(id, offset, piece);
        if (!done) return core_->failed("write", id, done.error());
        offset += piece.size();
        bytes = bytes.subspan(piece.size());
    }
    return success();
}

result<> volume::truncate(ashlar::object_id id, std::uint64_t size) {
    const auto done = core_->store.truncate(id, size);
    if (!done) return core_->failed("truncate", id, done.error());
    return success();
}

result<std::uint64_t> volume::size(ashlar::object_id id) {
    const auto size = core_->store.size(id);
    if (!size) return core_->failed("look at", id, size.error());
    return size.value();
}

result<object_facts> volume::object(ashlar::object_id id) {
    const auto info = core_->store.info(id);
    if (!info) return core_->failed("look at", id, info.error());
    const auto tag = ashlar::load_little<std::uint32_t>(info.value().attributes.data());
    return object_facts{id, info.value().size, info.value().blocks, info.value().extents, static_cast<object_tag>(tag)};
}

result<std::optional<ashlar::object_id>> volume::next_object(ashlar::object_id after) {
    const auto next = core_->store.next_object(after);
    if (!next) return core_->failed("cannot walk the objects", next.error());
    return next.value();
}

result<std::optional<ashlar::mapped_extent>> volume::next_extent(ashlar::object_id id, ashlar::logical_block from) {
    const auto next = core_->store.next_extent(id, from);
    if (!next) return core_->failed("walk the extents of", id, next.error());
    return next.value();
}

result<> volume::sync() {
    const auto done = core_->store.sync();
    if (!done) return core_->failed("cannot make the changes durable", done.error());
    return success();
}

result<space_facts> volume::space() {
    const auto seen = core_->store.fragmentation();
    if (!seen) return core_->failed("cannot read how free space lies", seen.error());
    return space_facts{.free_blocks        = seen.value().free.value,
                       .free_runs          = seen.value().free_runs,
                       .largest_run        = seen.value().largest_request.value,
                       .free_fragmentation = static_cast<double>(seen.value().free_permille) / 1000};
}

result<verify_facts> volume::verify() {
    constexpr std::size_t told_max = 100;
    verify_facts          facts;
    const auto            report = core_->store.verify([&](const ashlar::verify_finding& finding) {
        if (facts.findings.size() < told_max) facts.findings.push_back(text_of(finding));
    });
    if (!report) return core_->failed("cannot verify the volume", report.error());
    facts.objects        = report.value().objects;
    facts.blocks_checked = report.value().data_blocks;
    facts.problems       = report.value().findings;
    return facts;
}

result<repair_facts> volume::repair(bool dry_run) {
    constexpr std::size_t told_max = 100;
    repair_facts          facts;
    const auto            tell = [&](std::string text) {
        if (facts.findings.size() < told_max) facts.findings.push_back(std::move(text));
    };
    const auto mended = core_->store.recovered().mended_frames;
    const auto size   = core_->store.info().block;
    for (std::uint64_t number = 0; number < 32; ++number) {  // opening has done these
        if ((mended >> number & 1U) == 0) continue;
        tell(fmt::format("block {} {}: {}", ashlar::frame_home(number, size).value,
                         ashlar::message(ashlar::verify_problem::bad_copy),
                         ashlar::message(ashlar::repair_deed::copied)));
        ++facts.mended;
    }
    const auto report = core_->store.repair(
        [&](const ashlar::repair_finding& one) {
            auto text =
                fmt::format("{}: {}{}", text_of(one.found), dry_run ? "would be " : "", ashlar::message(one.deed));
            if (one.deed == ashlar::repair_deed::left)
                text += fmt::format("; {}", ashlar::advice_for(one.found.problem));
            tell(std::move(text));
        },
        {.dry_run = dry_run});
    if (!report) return core_->failed("cannot repair the volume", report.error());
    facts.objects        = report.value().seen.objects;
    facts.blocks_checked = report.value().seen.data_blocks;
    facts.mended += report.value().mended;
    facts.left       = report.value().left;
    facts.given_back = report.value().given_back.value;
    facts.marked     = report.value().marked.value;
    return facts;
}

result<plan_facts> volume::plan_defrag() {
    const auto plan = core_->store.plan_defragmentation();
    if (!plan) return core_->failed("cannot plan a defragmentation", plan.error());
    const auto part = [](std::uint32_t permille) { return static_cast<double>(permille) / 1000; };
    return plan_facts{.moves                       = plan.value().moves,
                      .blocks                      = plan.value().blocks.value,
                      .bytes_read                  = plan.value().bytes_read,
                      .bytes_written               = plan.value().bytes_written,
                      .memory                      = plan.value().memory_bytes,
                      .seconds                     = static_cast<double>(plan.value().time.nanoseconds) / 1e9,
                      .object_fragmentation_before = part(plan.value().before.objects_permille),
                      .object_fragmentation_after  = part(plan.value().after.objects_permille),
                      .free_runs_before            = plan.value().free_runs_before,
                      .free_runs_after             = plan.value().free_runs_after};
}

result<ashlar::progress> volume::step_defrag(std::uint64_t bytes_max) {
    const auto step =
        core_->store.maintain({.blocks_max = std::max<std::uint64_t>(1, bytes_max / core_->store.info().block.bytes)});
    if (!step) return core_->failed("the defragmentation has ended", step.error());
    return step.value();
}

defrag_facts volume::defragged() const {
    const auto& done = core_->store.defragmenter().lifetime();
    return {.objects  = done.objects_defragmented,
            .moves    = done.moves,
            .blocks   = done.blocks_moved.value,
            .bytes    = done.bytes_moved,
            .races    = done.races,
            .failures = done.errors};
}

}  // namespace cli
