#pragma once
/// Shared by the tests of the store: blueprints for memory, a model of what a store holds, random scenarios.

#include <ashlar/ashlar.hpp>
#include <ashlar/device/memory_device.hpp>
#include <ashlar/journal/ring_journal.hpp>
#include <ashlar/testing/order_checker.hpp>
#include <ashlar/testing/random_bits.hpp>
#include <ashlar/threading/single_threaded.hpp>

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace ashlar::test {

using byte_vector = std::vector<std::byte>;

/// Counts of the longer tests are multiplied by it: ASHLAR_TEST_SCALE, 1 where it is not set.
inline std::uint64_t scaled(std::uint64_t count) {
    const char* const text  = std::getenv("ASHLAR_TEST_SCALE");
    const double      scale = text != nullptr ? std::atof(text) : 1.0;
    const auto        much  = static_cast<std::uint64_t>(static_cast<double>(count) * scale);
    return much == 0 ? 1 : much;
}

/// Bytes that tell from which write they are: the same seed gives the same bytes, and no byte is zero.
inline byte_vector pattern(std::size_t bytes, std::uint64_t seed) {
    byte_vector made(bytes);
    random_bits{seed * 2 + 1}.fill(made);
    for (auto& one : made) one |= std::byte{1};
    return made;
}

/// Any device that lives elsewhere, so that all tests share one store type. Copies refer to the same device.
class any_device {
  public:
    template <BlockDevice D>
    explicit any_device(D& device) noexcept
        : at_{&device},
          geometry_{[](const void* at) noexcept { return static_cast<const D*>(at)->geometry(); }},
          read_{[](void* at, extent e, std::span<std::byte> in) noexcept { return static_cast<D*>(at)->read(e, in); }},
          write_{[](void* at, extent e, std::span<const std::byte> out) noexcept {
              return static_cast<D*>(at)->write(e, out);
          }},
          sync_{[](void* at) noexcept { return static_cast<D*>(at)->sync(); }},
          trim_{[](void* at, extent e) noexcept { return static_cast<D*>(at)->trim(e); }} {}

    [[nodiscard]] device_geometry geometry() const noexcept { return geometry_(at_); }
    [[nodiscard]] result<>        read(extent e, std::span<std::byte> in) noexcept { return read_(at_, e, in); }
    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept { return write_(at_, e, out); }
    [[nodiscard]] result<> sync() noexcept { return sync_(at_); }
    [[nodiscard]] result<> trim(extent e) noexcept { return trim_(at_, e); }

  private:
    void* at_;
    device_geometry (*geometry_)(const void*) noexcept;
    result<> (*read_)(void*, extent, std::span<std::byte>) noexcept;
    result<> (*write_)(void*, extent, std::span<const std::byte>) noexcept;
    result<> (*sync_)(void*) noexcept;
    result<> (*trim_)(void*, extent) noexcept;
};
static_assert(BlockDevice<any_device>);

template <class ChecksumPolicy = xxh3, class MapPolicy = extent_tree, class JournalPolicy = ring_journal>
struct test_blueprint : blueprint {
    using device     = any_device;
    using journal    = JournalPolicy;
    using threading  = single_threaded;
    using checksum   = ChecksumPolicy;
    using object_map = MapPolicy;
};
using test_store = store<test_blueprint<>>;

/// A volume whose ring is lapped after a few dozen batches.
struct volume_shape {
    std::uint32_t block_bytes    = 512;
    std::uint64_t blocks         = 1600;
    std::uint64_t journal_blocks = 96;
    std::uint32_t record_bytes   = object_record_bytes;

    [[nodiscard]] format_options format(std::uint64_t number = 1) const {
        format_options options;
        for (std::size_t i = 0; i < options.volume.size(); ++i)
            options.volume[i] = static_cast<std::byte>(number * 31 + i);
        options.journal_blocks = {journal_blocks};
        options.record_bytes   = record_bytes;
        return options;
    }
};

/// Limits of a small machine: everything that is bounded is met.
inline volume_limits small_limits() {
    volume_limits limits;
    limits.cache_blocks    = 96;
    limits.transaction     = {.shadows = 40, .extents = 48, .data_blocks = 48, .objects = 6};
    limits.transactions    = 3;
    limits.space           = {.groups_loaded = 2, .retired = 256, .holds = 4};
    limits.unsynced_runs   = 48;
    limits.unsynced_blocks = 48;
    limits.staging_bytes   = 8192;
    limits.journal_bytes   = 8192;
    return limits;
}

/// Memory, watched for the order of what is written to it.
using checked_memory = order_checker<memory_device>;

template <class Checker>
void expect_order(const Checker& checker) {
    for (const auto& one : checker.violations()) ADD_FAILURE() << one;
}

inline memory_device make_memory(const volume_shape& shape) {
    auto made = memory_device::create({shape.block_bytes}, block_count{shape.blocks});
    EXPECT_TRUE(made);
    return std::move(made).value();
}

/// Options with these limits.
template <class Store = test_store>
typename Store::options with(volume_limits limits = small_limits()) {
    typename Store::options chosen;
    chosen.limits = limits;
    return chosen;
}

/// A defragmenter that goes on as long as there is something to gain.
inline defrag_options eager_defragmenter() {
    defrag_options options;
    options.threshold_permille = 0;
    options.cycle_blocks_max   = {0};
    options.cycle_interval     = {};
    options.priority           = defrag_intensity::unpaced;
    options.window             = {32};
    options.pieces_max         = 40;
    options.chunk_bytes        = 8192;
    return options;
}

/// What a call answered, for the messages of a failed test.
template <class T>
std::string said(const result<T>& answer) {
    if (answer) return "no error";
    return std::string{message(answer.error().code)} + " at block " + std::to_string(answer.error().where.value);
}

#define ASHLAR_EXPECT_OK(...)                                            \
    do {                                                                 \
        const auto& answer_ = (__VA_ARGS__);                             \
        EXPECT_TRUE(answer_.has_value()) << ashlar::test::said(answer_); \
    } while (false)
#define ASHLAR_ASSERT_OK(...)                                            \
    do {                                                                 \
        const auto& answer_ = (__VA_ARGS__);                             \
        ASSERT_TRUE(answer_.has_value()) << ashlar::test::said(answer_); \
    } while (false)

/// Formats and opens; an empty handle after a failure.
template <class Store = test_store, BlockDevice D>
Store opened_on(D& device, volume_limits limits = small_limits()) {
    auto opened = Store::open(any_device{device}, with<Store>(limits));
    EXPECT_TRUE(opened) << said(opened);
    return opened ? std::move(opened).value() : Store{};
}
template <class Store = test_store, BlockDevice D>
void format_on(D& device, const volume_shape& shape, std::uint64_t number = 1) {
    any_device any{device};
    ASHLAR_EXPECT_OK(Store::format(any, shape.format(number)));
}

/// The code of an error; none for success.
template <class T>
errc code_of(const result<T>& answer) {
    return answer ? errc::none : answer.error().code;
}

// The model.
// ------------------------------------------------------------------------------------------------------------

/// What a store holds: the bytes of each object.
using model_state = std::map<std::uint64_t, byte_vector>;

inline void model_write(byte_vector& object, std::uint64_t offset, std::span<const std::byte> bytes) {
    if (bytes.empty()) return;
    if (object.size() < offset + bytes.size()) object.resize(offset + bytes.size());
    std::memcpy(object.data() + offset, bytes.data(), bytes.size());
}

inline void model_punch(byte_vector& object, std::uint64_t offset, std::uint64_t length) {
    for (std::uint64_t i = offset; i < object.size() && i - offset < length; ++i) object[i] = std::byte{0};
}

/// One number for an object's name and bytes.
inline std::uint64_t digest_of(std::uint64_t id, std::span<const std::byte> bytes) {
    return random_bits{xxh3_64(bytes) + id * 0x9E37'79B9'7F4A'7C15U + bytes.size()}.next();
}

inline std::uint64_t digest_of(const model_state& state) {
    std::uint64_t sum = 0;
    for (const auto& [id, bytes] : state) sum += digest_of(id, bytes);
    return sum;
}

/// The same number for what an open store answers. Errors: those of the store.
template <class Store>
result<std::uint64_t> digest_on(Store& opened) {
    std::uint64_t sum = 0;
    byte_vector   bytes;
    for (object_id at{};;) {
        BOOST_OUTCOME_TRY(const auto next, opened.next_object(at));
        if (!next) return sum;
        at = *next;
        BOOST_OUTCOME_TRY(const auto size, opened.size(at));
        if (size > (1U << 26U)) return errc::damaged;
        bytes.assign(size, std::byte{0xEE});
        BOOST_OUTCOME_TRY(const auto read, opened.read(at, 0, std::span<std::byte>{bytes}));
        if (read != size) return errc::damaged;
        sum += digest_of(at.value, bytes);
    }
}

/// Where an open store differs from the model; empty where it does not.
template <class Store>
std::string difference(Store& opened, const model_state& expected) {
    object_id at{};
    for (const auto& [id, bytes] : expected) {
        const auto next = opened.next_object(at);
        if (!next) return "next_object: " + said(next);
        if (!next.value() || next.value()->value != id) return "the next object is not " + std::to_string(id);
        at              = *next.value();
        const auto size = opened.size(at);
        if (!size) return "size: " + said(size);
        if (size.value() != bytes.size()) {
            return "object " + std::to_string(id) + " has " + std::to_string(size.value()) + " bytes, not " +
                   std::to_string(bytes.size());
        }
        byte_vector found(bytes.size(), std::byte{0xEE});
        const auto  read = opened.read(at, 0, std::span<std::byte>{found});
        if (!read) return "read of " + std::to_string(id) + ": " + said(read);
        if (read.value() != found.size()) return "a read of " + std::to_string(id) + " is short";
        for (std::size_t i = 0; i < found.size(); ++i) {
            if (found[i] != bytes[i])
                return "object " + std::to_string(id) + " differs at byte " + std::to_string(i) + " of " +
                       std::to_string(found.size());
        }
    }
    const auto next = opened.next_object(at);
    if (!next) return "next_object: " + said(next);
    if (next.value()) return "object " + std::to_string(next.value()->value) + " is too many";
    return {};
}

/// What verify finds, as text; empty for a whole volume.
template <class Store>
std::string findings_of(Store& opened) {
    static const char* const names[] = {"two_owners",   "leaked",     "in_use_but_free", "bad_data",
                                        "bad_metadata", "bad_record", "bad_summary",     "bad_totals"};
    std::string              found;
    const auto               report = opened.verify([&](const verify_finding& finding) {
        if (found.size() > 400) return;
        found += std::string{names[static_cast<std::size_t>(finding.problem)]} + " at block " +
                 std::to_string(finding.block.value) + " of object " + std::to_string(finding.object.value) + " (" +
                 message(finding.why.code) + "); ";
    });
    if (!report) return "verify: " + said(report);
    if (report.value().findings != 0 && found.empty()) return "findings without a word";
    return found;
}

// Scenarios.
// ------------------------------------------------------------------------------------------------------------

/// How often each kind of operation comes.
struct mixture {
    std::uint64_t write = 30, append = 16, truncate = 8, punch = 8, reserve = 5, create = 8, erase = 6, transaction = 6,
                  abort = 2, sync = 14, checkpoint = 1;
    std::uint64_t bytes_max   = 3000;
    std::uint64_t objects_max = 12;
    std::uint64_t size_max    = 12'000;
};

/// Random operations on a store, each mirrored in a model when it succeeded.
template <class Store>
class scenario {
  public:
    scenario(std::uint64_t seed, object_id root, mixture mix = {}) : random_{seed}, mix_{mix} {
        state_[root.value] = {};
        root_              = root;
    }

    [[nodiscard]] const model_state& state() const { return state_; }
    /// What the last operation would have made of it, had it succeeded: after a failure a cut may show this too.
    [[nodiscard]] const model_state& attempted() const { return attempted_; }
    /// Goes on from another state. Ids that the cut took back may come again.
    void restore(model_state found) {
        state_ = std::move(found);
        ids_.clear();
        for (const auto& [id, bytes] : state_) ids_.insert(id);
    }

    struct outcome {
        bool        durable = false;  ///< Everything up to here was acknowledged.
        error       why{};            ///< Of the operation; then the model stayed as it was.
        const char* what = "";
    };

    /// One operation.
    outcome step(Store& opened) {
        std::uint64_t left =
            random_.below(mix_.write + mix_.append + mix_.truncate + mix_.punch + mix_.reserve + mix_.create +
                          mix_.erase + mix_.transaction + mix_.abort + mix_.sync + mix_.checkpoint);
        const auto is = [&](std::uint64_t share) {
            if (left < share) return true;
            left -= share;
            return false;
        };
        if (is(mix_.write)) return write(opened);
        if (is(mix_.append)) return append(opened);
        if (is(mix_.truncate)) return truncate(opened);
        if (is(mix_.punch)) return punch(opened);
        if (is(mix_.reserve)) return reserve(opened);
        if (is(mix_.create)) return create(opened);
        if (is(mix_.erase)) return erase(opened);
        if (is(mix_.transaction)) return transaction(opened, true);
        if (is(mix_.abort)) return transaction(opened, false);
        if (is(mix_.sync)) return end("sync", opened.sync());
        return end("checkpoint", opened.checkpoint());
    }

  private:
    [[nodiscard]] std::uint64_t any() {
        auto at = state_.begin();
        std::advance(at, static_cast<std::ptrdiff_t>(random_.below(state_.size())));
        return at->first;
    }
    [[nodiscard]] byte_vector bytes() {
        return pattern(static_cast<std::size_t>(1 + random_.below(random_.below(4) == 0 ? mix_.bytes_max : 700)),
                       random_.next());
    }

    /// Carries an operation out on the store; `mirror` says what a success does to the model.
    template <class Call, class Mirror>
    outcome run(const char* what, Call&& call, Mirror&& mirror) {
        attempted_ = state_;
        mirror(attempted_);
        const auto done = call();
        if (!done) return {false, done.error(), what};
        state_ = attempted_;
        return {false, {}, what};
    }
    outcome nothing() {
        return run(
            "nothing", [] { return result<>{success()}; }, [](model_state&) {});
    }

    outcome write(Store& opened) {
        const auto id     = any();
        const auto offset = random_.below(state_[id].size() + 1500);
        const auto data   = bytes();
        if (offset + data.size() > mix_.size_max) return truncate(opened);
        return run(
            "write", [&] { return opened.write(object_id{id}, offset, data); },
            [&](model_state& after) { model_write(after[id], offset, data); });
    }
    outcome append(Store& opened) {
        const auto id   = any();
        const auto data = bytes();
        const auto at   = state_[id].size();
        if (at + data.size() > mix_.size_max) return truncate(opened);
        return run(
            "append",
            [&] {
                const auto done = opened.append(object_id{id}, data);
                if (done) { EXPECT_EQ(done.value(), at); }
                return done;
            },
            [&](model_state& after) { model_write(after[id], at, data); });
    }
    outcome truncate(Store& opened) {
        const auto id = any();
        const auto size =
            random_.below(3) == 0 ? state_[id].size() + random_.below(2000) : random_.below(state_[id].size() + 1);
        if (size > mix_.size_max) return nothing();
        return run(
            "truncate", [&] { return opened.truncate(object_id{id}, size); },
            [&](model_state& after) { after[id].resize(size); });
    }
    outcome punch(Store& opened) {
        const auto id     = any();
        const auto offset = random_.below(state_[id].size() + 100);
        const auto length = random_.below(3000);
        return run(
            "punch", [&] { return opened.punch(object_id{id}, offset, length); },
            [&](model_state& after) { model_punch(after[id], offset, length); });
    }
    outcome reserve(Store& opened) {
        const auto id     = any();
        const auto offset = random_.below(state_[id].size() + 2000);
        const auto length = 1 + random_.below(2500);
        return run(
            "reserve", [&] { return opened.reserve(object_id{id}, offset, length); }, [](model_state&) {});
    }
    outcome create(Store& opened) {
        if (state_.size() >= mix_.objects_max) return erase(opened);
        attempted_      = state_;
        const auto made = opened.create();
        if (!made) return {false, made.error(), "create"};
        EXPECT_TRUE(ids_.insert(made.value().value).second) << "an id is never used twice";
        state_[made.value().value] = {};
        return {false, {}, "create"};
    }
    outcome erase(Store& opened) {
        const auto id = any();
        if (object_id{id} == root_) return nothing();
        return run(
            "erase", [&] { return opened.erase(object_id{id}); }, [&](model_state& after) { after.erase(id); });
    }
    outcome transaction(Store& opened, bool commits) {
        attempted_ = state_;
        auto begun = opened.begin();
        if (!begun) return {false, begun.error(), "begin"};
        auto  tx    = std::move(begun).value();
        auto  after = state_;
        error why{};
        for (std::uint64_t i = 0; i < 1 + random_.below(4) && why.code == errc::none; ++i) why = change(tx, after);
        if (why.code != errc::none) return {false, why, "transaction"};
        if (!commits) {
            tx.abort();
            return {false, {}, "abort"};
        }
        attempted_      = std::move(after);
        const auto done = tx.commit();
        if (!done) return {false, done.error(), "commit"};
        state_ = attempted_;
        return {true, {}, "commit"};
    }
    /// An operation that changes nothing and promises everything.
    template <class T>
    outcome end(const char* what, const result<T>& done) {
        attempted_ = state_;
        if (!done) return {false, done.error(), what};
        return {true, {}, what};
    }
    template <class Transaction>
    error change(Transaction& tx, model_state& after) {
        auto at = after.begin();
        std::advance(at, static_cast<std::ptrdiff_t>(random_.below(after.size())));
        const auto id = at->first;
        switch (random_.below(5)) {
            case 0: {
                if (after.size() >= mix_.objects_max) return {};
                const auto made = tx.create();
                if (!made) return made.error();
                after[made.value().value] = {};
                return {};
            }
            case 1: {
                if (object_id{id} == root_) return {};
                const auto done = tx.erase(object_id{id});
                if (!done) return done.error();
                after.erase(id);
                return {};
            }
            case 2: {
                const auto size = random_.below(after[id].size() + 300);
                const auto done = tx.truncate(object_id{id}, size);
                if (!done) return done.error();
                after[id].resize(size);
                return {};
            }
            default: {
                const auto offset = random_.below(after[id].size() + 200);
                const auto data   = pattern(static_cast<std::size_t>(1 + random_.below(600)), random_.next());
                const auto done   = tx.write(object_id{id}, offset, data);
                if (!done) return done.error();
                model_write(after[id], offset, data);
                return {};
            }
        }
    }

    random_bits             random_;
    mixture                 mix_;
    model_state             state_;
    model_state             attempted_;
    std::set<std::uint64_t> ids_;
    object_id               root_{};
};

}  // namespace ashlar::test
