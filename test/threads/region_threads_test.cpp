// Regions that threads write, read, pin, remove and add again while another thread moves them.

#include "threads_fixture.hpp"

#include <ashlar/compaction.hpp>

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

namespace ashlar::test {
namespace region_threads_test {

constexpr std::uint32_t logs        = tag_of("LOGS");
constexpr std::uint32_t maps        = tag_of("MAPS");
constexpr std::size_t   block_bytes = 512;

using threaded_regions    = store_regions<threaded_blueprint>;
using threaded_region     = region_device<threaded_blueprint>;
using threaded_compaction = compaction<threaded_blueprint>;

/// What the writer of a region publishes: the value of each block that a read which begins now finds, or a later one.
struct published_region {
    static constexpr std::uint64_t blocks = 96;

    std::atomic<std::uint64_t> epoch{1};  ///< Odd: there is no region, or not all of it was written.
    std::atomic<std::uint64_t> least[blocks]{};
};

class region_workload {
  public:
    static constexpr std::size_t regions = 3;

    region_workload(threaded_store& on, std::uint64_t calls, block_index far = {2500})
        : on_{on}, calls_{calls}, far_{far} {}

    /// Writes a region of its own, reads it back, syncs it, and now and then gives it up for another one.
    void write(std::uint32_t number) {
        random_bits                    random{number + 1U};
        std::optional<threaded_region> region;
        auto&                          mine = published_[number];
        for (std::uint64_t i = 0; goes_on(i) && !testing::Test::HasFailure(); ++i) {
            mix_threads(random);
            if (i % 50 == 0) replace(number, region, random);
            if (testing::Test::HasFailure()) return;
            const auto count = 1 + random.below(12);
            const auto first = random.below(published_region::blocks - count + 1);
            if (random.below(3) != 0) {
                put(number, *region, first, count);
            } else {
                byte_vector seen(static_cast<std::size_t>(count) * block_bytes);
                ASHLAR_ASSERT_OK(region->read({block_index{first}, block_count{count}}, seen));
                for (std::uint64_t b = 0; b < count; ++b) {
                    ASSERT_EQ(value_of(std::span{seen}.subspan(b * block_bytes, block_bytes)),
                              mine.least[first + b].load())
                        << "its only writer knows what a block holds";
                }
            }
            if (random.below(8) == 0) ASHLAR_ASSERT_OK(region->sync());
        }
        if (--writing_ == 0) stopping_ = true;
    }

    /// Reads regions of others: no block is older than when the read began, and none is another region's.
    void read() {
        random_bits random{77};
        byte_vector seen(8 * block_bytes);
        while (!stopping_ && !testing::Test::HasFailure()) {
            mix_threads(random);
            const auto number = static_cast<std::uint32_t>(random.below(regions));
            auto&      theirs = published_[number];
            const auto epoch  = theirs.epoch.load();
            if (epoch % 2 != 0) continue;
            auto region = threaded_regions{on_}.open({logs, number});
            if (!region) continue;
            const auto    count = 1 + random.below(8);
            const auto    first = random.below(published_region::blocks - count + 1);
            std::uint64_t least[8];
            for (std::uint64_t b = 0; b < count; ++b) least[b] = theirs.least[first + b];
            const auto into = std::span{seen}.first(static_cast<std::size_t>(count) * block_bytes);
            const auto done = region.value().read({block_index{first}, block_count{count}}, into);
            if (theirs.epoch != epoch) continue;
            ASHLAR_ASSERT_OK(done);
            for (std::uint64_t b = 0; b < count; ++b) {
                const auto value = value_of(into.subspan(b * block_bytes, block_bytes));
                ASSERT_TRUE(value) << "a mixture of two writes";
                ASSERT_EQ(*value >> 40U, number + 1U) << "another region's block";
                ASSERT_GE(*value, least[b]) << "an older block than a read before it may have found";
            }
            ++reads_;
        }
    }

    /// Moves regions all the time; now and then it changes its mind.
    void compact() {
        random_bits random{5};
        while (!stopping_ && !testing::Test::HasFailure()) {
            auto opened =
                threaded_compaction::open(on_, {.regions = {.threshold_permille = 1,
                                                            .verify_target      = random.below(2) == 0,
                                                            .chunk_bytes        = 8 * block_bytes,
                                                            .window_bits = static_cast<std::size_t>(random.below(3))}});
            ASHLAR_ASSERT_OK(opened);
            for (int i = 0; i < 60 && !stopping_; ++i) {
                const auto said = opened.value().step({.blocks_max = 16});
                ASSERT_EQ(said.failure.code, errc::none) << message(said.failure.code);
                if (said.reasons.has(stop_reason::finished)) {
                    moved_ += opened.value().last_result().regions_moved;
                    slid_ += opened.value().last_result().regions_slid;
                }
                if (random.below(40) == 0) opened.value().cancel();
                mix_threads(random);
            }
        }
    }

    /// Makes holes and fills them, and pins regions for a moment.
    void churn() {
        random_bits random{6};
        while (!stopping_ && !testing::Test::HasFailure()) {
            threaded_regions all{on_};
            const auto       made = all.add({.type = maps, .blocks = block_count{1 + random.below(150)}});
            if (!made) {
                ASSERT_TRUE(is_full(made) || was_busy(made)) << said(made);
                continue;
            }
            const region_id other{logs, static_cast<std::uint32_t>(random.below(regions))};
            const auto      pinned = all.pin(other);
            EXPECT_TRUE(pinned || was_busy(pinned) || pinned.error().code == errc::not_found) << said(pinned);
            mix_threads(random);
            static_cast<void>(all.pin(other, false));
            static_cast<void>(all.can_add({.type = maps, .blocks = block_count{60}}));
            for (std::uint32_t i = 0; i < all.count(); ++i) static_cast<void>(all.at(i));
            ASHLAR_ASSERT_OK(insist([&]() { return all.remove(made.value()); }));
        }
    }

    /// Objects come and go between the regions.
    void use_objects() {
        random_bits random{8};
        while (!stopping_ && !testing::Test::HasFailure()) {
            const auto id = insist([&]() { return on_.create(); });
            ASHLAR_ASSERT_OK(id);
            const auto value   = random.next() | 1U;
            const auto bytes   = filled_block(block_bytes * (1 + random.below(9)), value);
            const auto written = insist([&]() { return on_.write(id.value(), 0, bytes); });
            if (written.has_error() && written.error().code == errc::reserve_only) {  // regions have the rest
                ASHLAR_ASSERT_OK(insist([&]() { return on_.erase(id.value()); }));
                continue;
            }
            ASHLAR_ASSERT_OK(written);
            if (random.below(3) == 0) ASHLAR_ASSERT_OK(on_.sync());
            byte_vector seen(bytes.size());
            ASHLAR_ASSERT_OK(on_.read(id.value(), 0, std::span<std::byte>{seen}));
            ASSERT_TRUE(seen == bytes);
            ASHLAR_ASSERT_OK(insist([&]() { return on_.erase(id.value()); }));
        }
    }

    /// Every block of every region holds what its writer wrote last.
    static void expect(threaded_store& store, const region_workload& work) {
        for (std::uint32_t number = 0; number < regions; ++number) {
            auto region = threaded_regions{store}.open({logs, number});
            ASHLAR_ASSERT_OK(region);
            byte_vector seen(published_region::blocks * block_bytes);
            ASHLAR_ASSERT_OK(region.value().read({block_index{0}, block_count{published_region::blocks}}, seen));
            for (std::uint64_t b = 0; b < published_region::blocks; ++b) {
                ASSERT_EQ(value_of(std::span{seen}.subspan(b * block_bytes, block_bytes)),
                          work.published_[number].least[b].load());
            }
        }
    }
    [[nodiscard]] std::uint64_t moved() const { return moved_; }
    [[nodiscard]] std::uint64_t slid() const { return slid_; }
    [[nodiscard]] std::uint64_t reads() const { return reads_; }

  private:
    /// What others copy, or just gave back, is not free yet.
    [[nodiscard]] static bool is_full(const result<region_id>& made) {
        if (made) return false;
        const auto why = made.error().code;
        return why == errc::reserve_only || why == errc::no_space || why == errc::no_contiguous_space;
    }
    /// Until its calls are made and a region was moved meanwhile, which few calls may miss.
    [[nodiscard]] bool goes_on(std::uint64_t call) const {
        return call < calls_ || (moved_ == 0 && call < 100 * calls_);
    }

    void put(std::uint32_t number, threaded_region& region, std::uint64_t first, std::uint64_t count) {
        byte_vector bytes(static_cast<std::size_t>(count) * block_bytes);
        const auto  base = std::uint64_t{number + 1U} << 40U;
        auto&       next = values_[number];
        for (std::uint64_t b = 0; b < count; ++b) fill_block({&bytes[b * block_bytes], block_bytes}, base + next + b);
        ASHLAR_ASSERT_OK(region.write({block_index{first}, block_count{count}}, bytes));
        for (std::uint64_t b = 0; b < count; ++b) published_[number].least[first + b] = base + next + b;
        next += count;
    }

    /// Removes a region that may move, or be pinned, just now.
    void remove_at_last(region_id name) {
        for (;;) {
            const auto gone = threaded_regions{on_}.remove(name);
            if (gone) return;
            ASSERT_TRUE(was_busy(gone) || gone.error().code == errc::pinned) << said(gone);
            std::this_thread::yield();
        }
    }

    /// Removes the region, also while it moves or somebody pins it, and adds it again somewhere.
    void replace(std::uint32_t number, std::optional<threaded_region>& region, random_bits& random) {
        const region_id  name{logs, number};
        threaded_regions all{on_};
        auto&            mine = published_[number];
        std::unique_lock one_at_a_time{naming_};
        if (region) {
            ++mine.epoch;
            remove_at_last(name);
            byte_vector block(block_bytes);
            ASSERT_EQ(code_of(region->read({block_index{0}, block_count{1}}, block)), errc::not_found);
        }
        // Names are given out from the lowest: whoever is early waits for the others to have theirs. And a small volume
        // may be full of what the others have just now.
        for (;;) {
            ASSERT_FALSE(testing::Test::HasFailure()) << "of another thread";
            const auto made = all.add({.type   = logs,
                                       .blocks = block_count{published_region::blocks},
                                       .from   = block_index{random.below(2) * far_.value}});
            if (made && made.value() == name) break;
            if (made) remove_at_last(made.value());
            ASSERT_TRUE(made || was_busy(made) || is_full(made)) << said(made);
            one_at_a_time.unlock();
            std::this_thread::yield();
            one_at_a_time.lock();
        }
        region.emplace(all.open(name).value());
        put(number, *region, 0, published_region::blocks);
        ++mine.epoch;
    }

    threaded_store&            on_;
    std::uint64_t              calls_;
    block_index                far_;
    published_region           published_[regions];
    std::uint64_t              values_[regions]{1, 1, 1};
    std::mutex                 naming_;
    std::atomic<std::size_t>   writing_{regions};
    std::atomic<bool>          stopping_{false};
    std::atomic<std::uint64_t> moved_{0};
    std::atomic<std::uint64_t> slid_{0};
    std::atomic<std::uint64_t> reads_{0};
};

/// Everything at once, on a volume of so many blocks. Answers how many regions slid.
void use_and_compact(std::uint64_t blocks, std::uint64_t calls, block_index far, std::uint64_t& slid,
                     volume_limits limits = threaded_limits()) {
    const volume_shape shape{.block_bytes = block_bytes, .blocks = blocks, .journal_blocks = 256};
    memory_device      memory = make_memory(shape);
    locked_memory      device{memory};
    any_device         any{device};
    ASHLAR_ASSERT_OK(threaded_store::format(any, shape.format()));
    auto            store = open_threaded(device, limits);
    region_workload work{store, scaled(calls), far};
    in_threads(region_workload::regions + 4, [&](std::size_t thread) {
        switch (thread) {
            case region_workload::regions: return work.read();
            case region_workload::regions + 1: return work.compact();
            case region_workload::regions + 2: return work.churn();
            case region_workload::regions + 3: return work.use_objects();
            default: return work.write(static_cast<std::uint32_t>(thread));
        }
    });
    ASSERT_FALSE(testing::Test::HasFailure());
    EXPECT_GT(work.moved(), 0U);
    EXPECT_GT(work.reads(), 0U);
    region_workload::expect(store, work);
    EXPECT_EQ(findings_of(store), "");
    ASHLAR_ASSERT_OK(store.close());
    store = open_threaded(device);
    region_workload::expect(store, work);
    EXPECT_EQ(findings_of(store), "");
    std::printf("  %llu regions moved, %llu of them in parts\n", static_cast<unsigned long long>(work.moved()),
                static_cast<unsigned long long>(work.slid()));
    slid = work.slid();
}

TEST(RegionThreads, EveryBlockHoldsWhatItsWriterWroteWhileRegionsMoveComeAndGo) {
    std::uint64_t slid = 0;
    use_and_compact(10000, 1500, block_index{2500}, slid);
}

TEST(RegionThreads, EveryBlockHoldsWhatItsWriterWroteWhileRegionsSlideInASmallVolume) {
    std::uint64_t slid = 0;
    for (int round = 0; round < 5 && slid == 0 && !HasFailure(); ++round) use_and_compact(1300, 1500, {}, slid);
    EXPECT_GT(slid, 0U);
}

TEST(RegionThreads, EveryBlockHoldsWhatItsWriterWroteWhileTablesOfSlidesAreBegunAnew) {
    auto limits                    = threaded_limits();
    limits.indirection_entries_max = 20;  // of 96
    std::uint64_t slid             = 0;
    for (int round = 0; round < 5 && slid == 0 && !HasFailure(); ++round) use_and_compact(1300, 1000, {}, slid, limits);
    EXPECT_GT(slid, 0U);
}

/// Tells of each read and write before it is made.
class watched_device {
  public:
    explicit watched_device(memory_device& inner) : inner_{inner} {}

    [[nodiscard]] device_geometry geometry() const noexcept { return inner_.geometry(); }
    [[nodiscard]] result<>        read(extent e, std::span<std::byte> in) noexcept {
               if (on_read) on_read(e);
        return inner_.read(e, in);
    }
    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept {
        if (on_write) on_write(e);
        return inner_.write(e, out);
    }
    [[nodiscard]] result<> sync() noexcept { return inner_.sync(); }
    [[nodiscard]] result<> trim(extent e) noexcept { return inner_.trim(e); }

    std::function<void(extent)> on_read, on_write;

  private:
    locked_memory inner_;
};

TEST(RegionThreads, AWriterThatNeverRestsDoesNotKeepARegionWhereItIs) {
    const volume_shape shape{.block_bytes = block_bytes, .blocks = 2000, .journal_blocks = 128};
    memory_device      memory = make_memory(shape);
    watched_device     device{memory};
    any_device         any{device};
    ASHLAR_ASSERT_OK(threaded_store::format(any, shape.format()));
    auto             store = open_threaded(device);
    threaded_regions all{store};
    ASHLAR_ASSERT_OK(all.add({.type = maps, .blocks = block_count{200}}));
    ASHLAR_ASSERT_OK(all.add({.type = logs, .blocks = block_count{128}}));
    ASHLAR_ASSERT_OK(all.remove({maps, 0}));
    ASHLAR_ASSERT_OK(store.checkpoint());
    const auto                 place = all.find({logs, 0}).value().place;
    std::atomic<bool>          stopping{false}, given_up{false};
    std::atomic<std::uint64_t> last{0};
    std::uint64_t              copies = 0;
    // Whatever is copied is written again meanwhile, unless the writer is kept away.
    device.on_read = [&](extent e) {
        if (e.count.value < 16 || given_up) return;
        const auto seen = last.load();
        for (int i = 0; i < 30 && last - seen < 256; ++i) std::this_thread::sleep_for(std::chrono::milliseconds{1});
        given_up = ++copies > 40;
    };
    std::thread writer{[&]() {
        auto region = all.open({logs, 0}).value();
        while (!stopping && !given_up) {
            const auto block = filled_block(block_bytes, last + 1);
            ASHLAR_EXPECT_OK(region.write({block_index{(last + 1) % 128}, block_count{1}}, block));
            ++last;
        }
    }};
    auto compacting = threaded_compaction::open(store, {.regions = {.threshold_permille = 1, .chunk_bytes = 64 * 512}});
    while (last < 256) std::this_thread::yield();
    while (compacting.value().step({.blocks_max = 64}).reasons == stop_reason::budget_spent) {}
    stopping = true;
    writer.join();
    EXPECT_FALSE(given_up) << "the region moved only when nobody wrote to it any more";
    EXPECT_LT(all.find({logs, 0}).value().place.first, place.first);
    auto region = all.open({logs, 0}).value();
    for (std::uint64_t i = last - 127; i <= last; ++i) {
        byte_vector block(block_bytes);
        ASHLAR_ASSERT_OK(region.read({block_index{i % 128}, block_count{1}}, block));
        ASSERT_EQ(value_of(block), i);
    }
}

TEST(RegionThreads, ARegionGoesWhenItsWritersAreDoneAndTheNextOneAfterIt) {
    const volume_shape shape{.block_bytes = block_bytes, .blocks = 2000, .journal_blocks = 128};
    memory_device      memory = make_memory(shape);
    watched_device     device{memory};
    any_device         any{device};
    ASHLAR_ASSERT_OK(threaded_store::format(any, shape.format()));
    auto             store = open_threaded(device);
    threaded_regions all{store};
    for (int i = 0; i < 2; ++i) ASHLAR_ASSERT_OK(all.add({.type = logs, .blocks = block_count{8}}));
    const auto        place = all.find({logs, 0}).value().place;
    std::atomic<bool> writing{false}, may_end{false}, ended{false};
    device.on_write = [&](extent e) {
        if (!overlap(e, place)) return;
        writing = true;
        while (!may_end) std::this_thread::yield();
        ended = true;
    };
    std::thread writer{[&]() {
        auto region = all.open({logs, 0}).value();
        ASHLAR_EXPECT_OK(region.write({block_index{0}, block_count{8}}, byte_vector(8 * block_bytes)));
    }};
    while (!writing) std::this_thread::yield();
    std::thread first{[&]() {
        ASHLAR_EXPECT_OK(all.remove({logs, 0}));
        EXPECT_TRUE(ended) << "gone while somebody writes to it";
    }};
    for (bool goes = false; !goes;) {
        const entered guard{store.volume()};
        goes = store.volume().region_traffic.motion != nullptr;
    }
    std::thread second{[&]() { ASHLAR_EXPECT_OK(all.remove({logs, 1})); }};
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
    auto other = all.open({logs, 1});
    EXPECT_TRUE(other) << "the next one waits for its turn";
    may_end = true;
    for (auto* const one : {&writer, &first, &second}) one->join();
    EXPECT_EQ(code_of(all.find({logs, 0})), errc::not_found);
    EXPECT_EQ(code_of(all.find({logs, 1})), errc::not_found);
    EXPECT_EQ(findings_of(store), "");
}

TEST(RegionThreads, WhoListsFreeSpaceLetsOthersWorkWhileItReads) {
    const volume_shape shape{.block_bytes = block_bytes, .blocks = 20'000, .journal_blocks = 128};
    memory_device      memory = make_memory(shape);
    watched_device     device{memory};
    any_device         any{device};
    ASHLAR_ASSERT_OK(threaded_store::format(any, shape.format()));
    auto store = open_threaded(device);
    for (std::uint64_t at = 4000; at < 20'000; at += 4000) {  // a bitmap in every group
        ASHLAR_ASSERT_OK(threaded_regions{store}.add({.type = logs, .blocks = block_count{8}, .from = {at}}));
    }
    ASHLAR_ASSERT_OK(store.close());
    store = open_threaded(device);
    std::vector<std::thread>      others;
    std::deque<std::atomic<bool>> done;
    std::uint64_t                 let = 0;
    device.on_read                    = [&](extent) {
        auto& this_one = done.emplace_back(false);
        others.emplace_back([&]() {
            static_cast<void>(threaded_regions{store}.count());
            this_one = true;
        });
        for (int i = 0; i < 200 && !this_one; ++i) std::this_thread::sleep_for(std::chrono::milliseconds{1});
        let += this_one ? 1U : 0U;
    };
    ASHLAR_ASSERT_OK(threaded_regions{store}.for_each_free([](extent) noexcept { return true; }));
    device.on_read = nullptr;
    for (auto& one : others) one.join();
    EXPECT_GT(others.size(), 3U);
    EXPECT_EQ(let, others.size());
}

TEST(RegionThreads, WhatOthersTakeDuringALongSearchIsNotGivenTwice) {
    const volume_shape shape{.block_bytes = block_bytes, .blocks = 9000, .journal_blocks = 128};
    memory_device      memory = make_memory(shape);
    watched_device     device{memory};
    any_device         any{device};
    ASHLAR_ASSERT_OK(threaded_store::format(any, shape.format()));
    auto store = open_threaded(device);
    ASHLAR_ASSERT_OK(store.append(store.root(), filled_block(block_bytes, 1)));
    ASHLAR_ASSERT_OK(threaded_regions{store}.add({.type = logs, .blocks = block_count{8}, .from = {4200}}));
    ASHLAR_ASSERT_OK(store.close());
    store                = open_threaded(device);
    std::uint64_t made   = 1;
    const auto    bitmap = store.volume().regions.bitmap(1).home;  // where the search goes on after it found a run
    device.on_read       = [&](extent e) {
        if (e.contains(bitmap)) ASHLAR_EXPECT_OK(store.append(store.root(), filled_block(block_bytes, ++made)));
    };
    const auto name = threaded_regions{store}.add({.type = maps, .blocks = block_count{3000}});
    device.on_read  = nullptr;
    ASHLAR_ASSERT_OK(name);
    EXPECT_GT(made, 1U);
    auto region = threaded_regions{store}.open(name.value()).value();
    ASHLAR_ASSERT_OK(region.write({block_index{0}, block_count{3000}}, byte_vector(3000 * block_bytes)));
    for (std::uint64_t i = 1; i <= made; ++i) {
        byte_vector block(block_bytes);
        ASHLAR_ASSERT_OK(store.read(store.root(), (i - 1) * block_bytes, std::span<std::byte>{block}));
        ASSERT_EQ(value_of(block), i);
    }
    EXPECT_EQ(findings_of(store), "");
}

}  // namespace region_threads_test
}  // namespace ashlar::test
