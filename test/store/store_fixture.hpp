#pragma once
/// Shared by the tests of the store: blueprints for memory, a model of what a store holds, random scenarios.

#include <ashlar/ashlar.hpp>
#include <ashlar/device/memory_device.hpp>
#include <ashlar/journal/ring_journal.hpp>
#include <ashlar/testing/any_device.hpp>
#include <ashlar/testing/order_checker.hpp>
#include <ashlar/testing/small_machine.hpp>
#include <ashlar/testing/store_model.hpp>
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
using ashlar::said;  // other fixtures add what requests and queues say

/// Counts of the longer tests are multiplied by it: ASHLAR_TEST_SCALE, 1 where it is not set.
inline std::uint64_t scaled(std::uint64_t count) {
    const char* const text  = std::getenv("ASHLAR_TEST_SCALE");
    const double      scale = text != nullptr ? std::atof(text) : 1.0;
    const auto        much  = static_cast<std::uint64_t>(static_cast<double>(count) * scale);
    return much == 0 ? 1 : much;
}

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
    std::uint32_t inline_extents = 0;

    [[nodiscard]] format_options format(std::uint64_t number = 1) const {
        format_options options;
        for (std::size_t i = 0; i < options.volume.size(); ++i)
            options.volume[i] = static_cast<std::byte>(number * 31 + i);
        options.journal_blocks = {journal_blocks};
        options.record_bytes   = record_bytes;
        options.inline_extents = inline_extents;
        return options;
    }
};

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

#define ASHLAR_EXPECT_OK(...)                                      \
    do {                                                           \
        const auto& answer_ = (__VA_ARGS__);                       \
        EXPECT_TRUE(answer_.has_value()) << ashlar::said(answer_); \
    } while (false)
#define ASHLAR_ASSERT_OK(...)                                      \
    do {                                                           \
        const auto& answer_ = (__VA_ARGS__);                       \
        ASSERT_TRUE(answer_.has_value()) << ashlar::said(answer_); \
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

/// The verifier finds nothing.
template <class Store>
void expect_whole(Store& store) {
    const auto report = store.verify([](const verify_finding& found) {
        ADD_FAILURE() << message(found.problem) << " at block " << found.block.value;
    });
    ASHLAR_ASSERT_OK(report);
    EXPECT_EQ(report.value().findings, 0U);
}

/// The code of an error; none for success.
template <class T>
errc code_of(const result<T>& answer) {
    return answer ? errc::none : answer.error().code;
}

// Scenarios.
// ------------------------------------------------------------------------------------------------------------

/// How often each kind of operation comes.
struct mixture {
    std::uint64_t write = 30, append = 16, truncate = 8, punch = 8, reserve = 5, create = 8, erase = 6, transaction = 6,
                  abort = 2, sync = 14, checkpoint = 1, maintain = 0, trim = 0;
    std::uint64_t bytes_max   = 3000;
    std::uint64_t objects_max = 12;
    std::uint64_t size_max    = 12'000;
};

/// Random operations on a store and on the model beside it.
template <class Store>
class random_operations {
  public:
    explicit random_operations(std::uint64_t seed, mixture mix = {}) : random_{seed}, mix_{mix} {}

    operation_outcome step(Store& opened, store_model& model) {
        std::uint64_t left = random_.below(mix_.write + mix_.append + mix_.truncate + mix_.punch + mix_.reserve +
                                           mix_.create + mix_.erase + mix_.transaction + mix_.abort + mix_.sync +
                                           mix_.checkpoint + mix_.maintain + mix_.trim);
        const auto    is   = [&](std::uint64_t share) {
            if (left < share) return true;
            left -= share;
            return false;
        };
        if (is(mix_.write)) return write(opened, model);
        if (is(mix_.append)) return append(opened, model);
        if (is(mix_.truncate)) return truncate(opened, model);
        if (is(mix_.punch)) return punch(opened, model);
        if (is(mix_.reserve)) return reserve(opened, model);
        if (is(mix_.create)) return create(opened, model);
        if (is(mix_.erase)) return erase(opened, model);
        if (is(mix_.transaction)) return transaction(opened, model, true);
        if (is(mix_.abort)) return transaction(opened, model, false);
        if (is(mix_.sync)) return model.promised("sync", opened.sync());
        if (is(mix_.checkpoint)) return model.promised("checkpoint", opened.checkpoint());
        if (is(mix_.maintain)) return model.unchanged("maintain", opened.maintain({.blocks_max = 8}));
        return model.unchanged("trim", opened.trim(block_count{1 + random_.below(40)}));
    }

  private:
    [[nodiscard]] object_id any_of(const model_state& state) {
        auto at = state.begin();
        std::advance(at, static_cast<std::ptrdiff_t>(random_.below(state.size())));
        return {at->first};
    }
    [[nodiscard]] static std::size_t size_of(const store_model& model, object_id id) {
        return model.state().at(id.value).size();
    }
    [[nodiscard]] byte_vector bytes() {
        return pattern(static_cast<std::size_t>(1 + random_.below(random_.below(4) == 0 ? mix_.bytes_max : 700)),
                       random_.next());
    }
    static operation_outcome nothing(store_model& model) { return model.unchanged("nothing", result<>{success()}); }

    operation_outcome write(Store& opened, store_model& model) {
        const auto id     = any_of(model.state());
        const auto offset = random_.below(size_of(model, id) + 1500);
        const auto data   = bytes();
        if (offset + data.size() > mix_.size_max) return truncate(opened, model);
        return model.write(opened, id, offset, data);
    }
    operation_outcome append(Store& opened, store_model& model) {
        const auto id   = any_of(model.state());
        const auto data = bytes();
        if (size_of(model, id) + data.size() > mix_.size_max) return truncate(opened, model);
        return model.append(opened, id, data);
    }
    operation_outcome truncate(Store& opened, store_model& model) {
        const auto id     = any_of(model.state());
        const auto before = size_of(model, id);
        const auto size   = random_.below(3) == 0 ? before + random_.below(2000) : random_.below(before + 1);
        if (size > mix_.size_max) return nothing(model);
        return model.truncate(opened, id, size);
    }
    operation_outcome punch(Store& opened, store_model& model) {
        const auto id     = any_of(model.state());
        const auto offset = random_.below(size_of(model, id) + 100);
        return model.punch(opened, id, offset, random_.below(3000));
    }
    operation_outcome reserve(Store& opened, store_model& model) {
        const auto id     = any_of(model.state());
        const auto offset = random_.below(size_of(model, id) + 2000);
        return model.reserve(opened, id, offset, 1 + random_.below(2500));
    }
    operation_outcome create(Store& opened, store_model& model) {
        if (model.state().size() >= mix_.objects_max) return erase(opened, model);
        return model.create(opened);
    }
    operation_outcome erase(Store& opened, store_model& model) {
        const auto id = any_of(model.state());
        return id == model.root() ? nothing(model) : model.erase(opened, id);
    }
    operation_outcome transaction(Store& opened, store_model& model, bool commits) {
        return model.transaction(
            opened,
            [&](auto& changes) {
                for (std::uint64_t i = 0; i < 1 + random_.below(4) && changes.why().code == errc::none; ++i)
                    change(changes, model.root());
            },
            commits);
    }
    template <class Changes>
    void change(Changes& changes, object_id root) {
        const auto id   = any_of(changes.state());
        const auto size = changes.state().at(id.value).size();
        switch (random_.below(5)) {
            case 0:
                if (changes.state().size() < mix_.objects_max) changes.create();
                return;
            case 1:
                if (id != root) changes.erase(id);
                return;
            case 2: return changes.truncate(id, random_.below(size + 300));
            default: {
                const auto offset = random_.below(size + 200);
                const auto count  = static_cast<std::size_t>(1 + random_.below(600));
                return changes.write(id, offset, pattern(count, random_.next()));
            }
        }
    }

    random_bits random_;
    mixture     mix_;
};

/// Random operations with a model of their own.
template <class Store>
class scenario {
  public:
    using outcome = operation_outcome;

    scenario(std::uint64_t seed, object_id root, mixture mix = {}) : operations_{seed, mix}, model_{root} {}

    [[nodiscard]] const model_state& state() const { return model_.state(); }
    /// What the last operation would have made of it, had it succeeded: after a failure a cut may show this too.
    [[nodiscard]] const model_state& attempted() const { return model_.attempted(); }
    /// Goes on from another state. Ids that the cut took back may come again.
    void restore(model_state found) { model_.restore(std::move(found)); }

    outcome step(Store& opened) {
        const auto done = operations_.step(opened, model_);
        EXPECT_EQ(done.wrong, nullptr) << done.text();
        return done;
    }

  private:
    random_operations<Store> operations_;
    store_model              model_;
};

}  // namespace ashlar::test
