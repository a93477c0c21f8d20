#include "engine.hpp"

#include <ashlar/ashlar.hpp>
#include <ashlar/defrag_policy/best_gain.hpp>
#include <ashlar/journal/ring_journal.hpp>
#include <ashlar/testing/random_bits.hpp>
#include <ashlar/testing/small_machine.hpp>
#include <ashlar/threading/single_threaded.hpp>

#include <array>

namespace ashlar::fuzz {
namespace {

struct fuzz_blueprint : blueprint {
    using device    = bounded_device;
    using journal   = ring_journal;
    using threading = single_threaded;
    using defrag    = best_gain;
};
using store_type = store<fuzz_blueprint>;

store_type::options options() {
    store_type::options chosen;
    chosen.limits               = small_limits();
    chosen.limits.cache_blocks  = 64;
    chosen.limits.staged_bytes  = 8192;
    chosen.limits.verify_groups = 2;
    chosen.defrag               = eager_defragmenter();
    return chosen;
}

/// Memory of stores, used again: dirty from the start, so that what nobody wrote is seen to matter.
class workspaces {
  public:
    aligned_buffer take(block_size block) {
        const auto bytes = store_type::workspace_bytes(block, options());
        for (auto& buffer : free_) {
            if (buffer.bytes().size() != bytes) continue;
            auto taken = std::move(buffer);
            buffer     = std::move(free_.back());
            free_.pop_back();
            std::memset(taken.bytes().data(), 0xA5, bytes);
            return taken;
        }
        auto made = aligned_buffer::allocate(bytes);
        expect(made.has_value(), "memory for a store");
        std::memset(made.value().bytes().data(), 0xA5, bytes);
        return std::move(made).value();
    }
    void give_back(aligned_buffer buffer) { free_.push_back(std::move(buffer)); }

  private:
    std::vector<aligned_buffer> free_{};
};

workspaces& memory() {
    static workspaces all;
    return all;
}

enum class cost { open, operation, walk };

spent& spent_most() {
    static spent most;
    return most;
}

/// What one call may cost on an image of so many blocks. A change may first have to bring the whole journal home and
/// free what was erased; a walk reads all data and metadata, once for each window of groups; a read-only store reads
/// the journal again for each block that the journal changes.
budget bound_of(cost kind, std::uint64_t blocks) {
    switch (kind) {
        case cost::open: return {.calls = blocks + 300, .blocks = 4 * blocks + 300};
        case cost::operation: return {.calls = blocks + 300, .blocks = 4 * blocks + 300};
        default: return {.calls = 4 * blocks + 300, .blocks = 8 * blocks + 300};
    }
}

/// Grants a call its budget and notes what it took.
class charge {
  public:
    charge(budget& left, cost kind, std::uint64_t blocks) : left_{left}, kind_{kind}, whole_{bound_of(kind, blocks)} {
        left_ = whole_;
    }
    charge(const charge&)            = delete;
    charge& operator=(const charge&) = delete;
    ~charge() {
        const auto calls  = (whole_.calls - left_.calls) * 100 / whole_.calls;
        const auto blocks = (whole_.blocks - left_.blocks) * 100 / whole_.blocks;
        const auto took   = static_cast<unsigned>(calls > blocks ? calls : blocks);
        auto&      most   = spent_most();
        auto&      place  = kind_ == cost::open ? most.open : kind_ == cost::operation ? most.operation : most.walk;
        if (took > place) place = took;
    }

  private:
    budget& left_;
    cost    kind_;
    budget  whole_;
};

struct base_shape {
    std::uint32_t block_bytes;
    std::uint64_t blocks;
    std::uint64_t journal_blocks;
    std::uint32_t record_bytes;
    unsigned      steps;  ///< Of work before it is left.
    bool          home;   ///< Closed in order; else all that happened stands in the journal.
};

/// Small and large blocks, one group and three, wide records; closed in order, and left with a full journal.
constexpr std::array<base_shape, base_images> shapes{{
    {512, 640, 80, object_record_bytes, 0, true},
    {512, 900, 80, object_record_bytes, 120, true},
    {512, 900, 96, object_record_bytes, 120, false},
    {512, 8400, 96, 256, 160, false},
    {4096, 400, 64, object_record_bytes, 80, true},
    {4096, 400, 64, object_record_bytes, 80, false},
}};

/// Some objects of each kind: inside their record, in trees, with holes, pinned, reserved, erased.
void fill(live_store& live, const base_shape& shape, std::uint64_t seed) {
    random_bits random{seed};
    byte_vector bytes(shape.block_bytes * 6);
    const auto  large = live.create().value();
    for (unsigned i = 0; i < shape.steps; ++i) {
        random.fill(bytes);
        const auto part = bytes_in{bytes}.first(1 + static_cast<std::size_t>(random.below(bytes.size() - 1)));
        static_cast<void>(live.write(large, std::uint64_t{i} * shape.block_bytes * 2,
                                     part.first(part.size() < 200 ? part.size() : 200)));
        if (i % 8 == 0) {
            const auto id = live.create();
            if (!id) continue;
            static_cast<void>(live.write(id.value(), random.below(5000), part));
            if (i % 16 == 8) static_cast<void>(live.erase(id.value()));
            if (i % 24 == 0) static_cast<void>(live.pin(id.value(), 0, 2000, true));
            if (i % 40 == 0) static_cast<void>(live.reserve(id.value(), 20'000, 3000));
        }
        if (i % 10 == 9) static_cast<void>(live.append(live.root(), part.first(part.size() / 4)));
        if (i % 32 == 31) static_cast<void>(live.checkpoint());
        if (i % 6 == 5) static_cast<void>(live.sync());
    }
    if (shape.steps > 0) static_cast<void>(live.trim());
    for (unsigned i = 0; i < shape.steps / 8; ++i) {
        static_cast<void>(live.punch(large, std::uint64_t{i} * shape.block_bytes * 5, shape.block_bytes));
        static_cast<void>(live.sync());
    }
}

base_image make_base(unsigned number) {
    const auto&    shape = shapes[number];
    image          on{byte_vector(static_cast<std::size_t>(shape.block_bytes * shape.blocks)), {shape.block_bytes}};
    budget         left = bound_of(cost::walk, shape.blocks);
    bounded_device device{on, left};
    format_options chosen;
    for (std::size_t i = 0; i < chosen.volume.size(); ++i) chosen.volume[i] = static_cast<std::byte>(number * 16 + i);
    chosen.label          = "fuzz";
    chosen.journal_blocks = {shape.journal_blocks};
    chosen.record_bytes   = shape.record_bytes;
    expect(store_type::format(device, chosen).has_value(), "a base image is formatted");
    base_image made;
    {
        auto live = live_store::open(on, live_store::access::read_write);
        expect(live.has_value(), "a base image opens");
        fill(live.value(), shape, number);
        const auto findings = live.value().verify();
        expect(findings.has_value() && findings.value() == 0, "a base image is whole");
        auto objects = contents_of(live.value());
        expect(objects.has_value(), "a base image can be read");
        made.objects = std::move(*objects);
        if (shape.home) { expect(live.value().close().has_value(), "a base image closes"); }
    }
    made.bytes       = on.content();
    const auto where = find_places(made.bytes);
    expect(where.has_value(), "a base image says where its structures are");
    made.where = *where;
    return made;
}

}  // namespace

struct live_store::core {
    explicit core(image& image_of) : on{image_of} {}
    core(const core&)            = delete;
    core& operator=(const core&) = delete;
    ~core() {
        open.reset();
        if (is_open) static_cast<void>(store.abandon());
        if (!workspace.bytes().empty()) memory().give_back(std::move(workspace));
    }

    image&                                 on;
    budget                                 left{};
    aligned_buffer                         workspace{};
    store_type                             store{};
    std::optional<store_type::transaction> open{};
    bool                                   is_open = false;

    [[nodiscard]] charge pay(cost kind) { return charge{left, kind, on.blocks()}; }
};

live_store::live_store(std::unique_ptr<core> inner) noexcept : core_{std::move(inner)} {}
live_store::live_store(live_store&&) noexcept            = default;
live_store& live_store::operator=(live_store&&) noexcept = default;
live_store::~live_store()                                = default;

result<live_store> live_store::open(image& on, access how) {
    auto           inner = std::make_unique<core>(on);
    const auto     paid  = inner->pay(cost::open);
    bounded_device device{on, inner->left};
    if (how == access::read_only) {
        BOOST_OUTCOME_TRY(inner->store, store_type::open_read_only(device, options()));
    } else {
        inner->workspace = memory().take(on.block());
        BOOST_OUTCOME_TRY(inner->store, store_type::open(device, options(), inner->workspace.bytes()));
    }
    inner->is_open = true;
    return live_store{std::move(inner)};
}

object_id              live_store::root() const { return core_->store.root(); }
store_info             live_store::info() const { return core_->store.info(); }
const recovery_report& live_store::recovered() const { return core_->store.recovered(); }

result<object_id> live_store::create() {
    const auto paid = core_->pay(cost::operation);
    return core_->store.create();
}
result<> live_store::erase(object_id id) {
    const auto paid = core_->pay(cost::operation);
    return core_->store.erase(id);
}
result<std::size_t> live_store::read(object_id id, std::uint64_t offset, std::span<std::byte> into) {
    const auto paid = core_->pay(cost::operation);
    return core_->store.read(id, offset, into);
}
result<> live_store::write(object_id id, std::uint64_t offset, bytes_in bytes) {
    const auto paid = core_->pay(cost::operation);
    return core_->store.write(id, offset, bytes);
}
result<std::uint64_t> live_store::append(object_id id, bytes_in bytes) {
    const auto paid = core_->pay(cost::operation);
    return core_->store.append(id, bytes);
}
result<> live_store::truncate(object_id id, std::uint64_t size) {
    const auto paid = core_->pay(cost::operation);
    return core_->store.truncate(id, size);
}
result<> live_store::punch(object_id id, std::uint64_t offset, std::uint64_t length) {
    const auto paid = core_->pay(cost::operation);
    return core_->store.punch(id, offset, length);
}
result<> live_store::reserve(object_id id, std::uint64_t offset, std::uint64_t length) {
    const auto paid = core_->pay(cost::operation);
    return core_->store.reserve(id, offset, length);
}
result<> live_store::pin(object_id id, std::uint64_t offset, std::uint64_t length, bool pinned) {
    const auto paid = core_->pay(cost::operation);
    return pinned ? core_->store.pin(id, offset, length) : core_->store.unpin(id, offset, length);
}
result<object_info> live_store::info(object_id id) {
    const auto paid = core_->pay(cost::operation);
    return core_->store.info(id);
}
result<std::optional<object_id>> live_store::next_object(object_id after) {
    const auto paid = core_->pay(cost::operation);
    return core_->store.next_object(after);
}
result<std::optional<mapped_extent>> live_store::next_extent(object_id id, logical_block from) {
    const auto paid = core_->pay(cost::operation);
    return core_->store.next_extent(id, from);
}
result<std::uint64_t> live_store::free_runs() {
    const auto    paid  = core_->pay(cost::walk);
    std::uint64_t count = 0;
    auto          runs  = core_->store.free_runs();
    for (const auto& run : runs) count += run.count.value > 0 ? 1U : 0U;
    if (runs.failure().code != errc::none) return runs.failure();
    return count;
}
result<> live_store::sync() {
    const auto paid = core_->pay(cost::operation);
    return core_->store.sync();
}
result<> live_store::checkpoint() {
    const auto paid = core_->pay(cost::operation);
    return core_->store.checkpoint();
}
result<> live_store::maintain() {
    const auto paid = core_->pay(cost::walk);
    BOOST_OUTCOME_TRY(core_->store.maintain({.blocks_max = 64}));
    return success();
}
result<> live_store::plan() {
    const auto paid = core_->pay(cost::walk);
    BOOST_OUTCOME_TRY(core_->store.plan_defragmentation());
    return success();
}
result<> live_store::fragmentation() {
    const auto paid = core_->pay(cost::walk);
    BOOST_OUTCOME_TRY(core_->store.fragmentation());
    return success();
}
result<> live_store::trim() {
    const auto paid = core_->pay(cost::walk);
    BOOST_OUTCOME_TRY(core_->store.trim({256}));
    return success();
}
result<> live_store::close() {
    const auto paid = core_->pay(cost::operation);
    core_->open.reset();
    core_->is_open = false;
    return core_->store.close();
}
result<std::uint64_t> live_store::verify() {
    const auto    paid  = core_->pay(cost::walk);
    std::uint64_t count = 0;
    BOOST_OUTCOME_TRY(core_->store.verify([&](const verify_finding&) { ++count; }));
    return count;
}

result<repair_report> live_store::repair(bool dry_run) {
    const auto paid = core_->pay(cost::walk);
    return core_->store.repair([](const repair_finding&) {}, {.dry_run = dry_run});
}

bool     live_store::in_transaction() const { return core_->open.has_value(); }
result<> live_store::begin() {
    const auto paid = core_->pay(cost::operation);
    BOOST_OUTCOME_TRY(auto begun, core_->store.begin());
    core_->open.emplace(std::move(begun));
    return success();
}
result<> live_store::commit() {
    const auto paid = core_->pay(cost::operation);
    const auto done = core_->open->commit();
    core_->open.reset();
    return done;
}
void live_store::abort() {
    const auto paid = core_->pay(cost::operation);
    core_->open.reset();
}
result<object_id> live_store::create_in_transaction() {
    const auto paid = core_->pay(cost::operation);
    return core_->open->create();
}
result<> live_store::erase_in_transaction(object_id id) {
    const auto paid = core_->pay(cost::operation);
    return core_->open->erase(id);
}
result<> live_store::write_in_transaction(object_id id, std::uint64_t offset, bytes_in bytes) {
    const auto paid = core_->pay(cost::operation);
    return core_->open->write(id, offset, bytes);
}
result<> live_store::truncate_in_transaction(object_id id, std::uint64_t size) {
    const auto paid = core_->pay(cost::operation);
    return core_->open->truncate(id, size);
}
result<> live_store::punch_in_transaction(object_id id, std::uint64_t offset, std::uint64_t length) {
    const auto paid = core_->pay(cost::operation);
    return core_->open->punch(id, offset, length);
}

const base_image& base_of(unsigned number) {
    static std::array<std::unique_ptr<base_image>, base_images> made;
    if (!made[number]) made[number] = std::make_unique<base_image>(make_base(number));
    return *made[number];
}

spent most_spent() { return spent_most(); }

}  // namespace ashlar::fuzz
