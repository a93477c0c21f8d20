#pragma once
/// Shared by the tests of regions' queues between threads: owners with transfers in flight, and somebody who moves all.

#include "../channel/channel_fixture.hpp"
#include "region_fixture.hpp"

#include <ashlar/compaction.hpp>

#include <atomic>

namespace ashlar::test {

/// Owners of a region each, which write and read it through queues; nothing else knows what they hold.
/// `Pause` lets other threads go first.
template <class Blueprint, class Pause>
class region_queue_load {
  public:
    static constexpr std::uint64_t blocks = 80;
    static constexpr std::size_t   owners = 2;

    region_queue_load(store<Blueprint>& on, std::uint64_t calls) : on_{on}, calls_{calls} {}

    /// Writes and reads with up to eight transfers in flight, and now and then leaves them alone for a while.
    void own(std::uint32_t number, std::uint64_t seed) {
        owner mine{*this, number, seed};
        mine.add();
        for (std::uint64_t i = 0; i < calls_ && wrong_.load() == nullptr; ++i) mine.work();
        mine.end();
        if (--owning_ == 0) stopping_ = true;
    }

    /// Moves regions while there are owners.
    void compact(std::uint64_t seed) {
        random_bits random{seed};
        while (!stopping_ && wrong_.load() == nullptr) {
            auto task =
                compaction<Blueprint>::open(on_, {.regions = {.threshold_permille = 1, .chunk_bytes = 8 * 512}});
            if (!task) return complain("no compaction could be opened");
            for (int i = 0; i < 150 && !stopping_; ++i) {
                const auto said = task.value().step({.blocks_max = 16});
                if (said.reasons.has(stop_reason::device_error)) complain("a move failed");
                if (said.reasons.has(stop_reason::finished)) {
                    moved_ += task.value().last_result().regions_moved;
                    slid_ += task.value().last_result().regions_slid;
                }
                if (random.below(30) == 0) task.value().cancel();
                Pause{}();
            }
        }
    }

    /// Makes holes and fills them, which waits for writes of all regions.
    void churn(std::uint64_t seed) {
        random_bits random{seed};
        while (!stopping_ && wrong_.load() == nullptr) {
            const auto made = store_regions{on_}.add({.type = maps, .blocks = block_count{1 + random.below(120)}});
            Pause{}();
            if (made) remove_at_last(made.value());
        }
    }

    /// Reads all regions without queues, when nobody works.
    void expect_contents() {
        for (std::uint32_t number = 0; number < owners; ++number) {
            auto region = store_regions{on_}.open({logs, number});
            ASHLAR_ASSERT_OK(region);
            EXPECT_TRUE(read_all(region.value()) == contents_[number]) << number;
        }
    }
    [[nodiscard]] const char*   wrong() const { return wrong_; }
    [[nodiscard]] std::uint64_t moved() const { return moved_; }
    [[nodiscard]] std::uint64_t slid() const { return slid_; }

  private:
    struct slot {
        transfer    io{};
        byte_vector memory;
        byte_vector expected;  ///< Of a read.
        bool        out = false;
    };

    class owner {
      public:
        using queue = typename region_device<Blueprint>::queue;

        owner(region_queue_load& load, std::uint32_t number, std::uint64_t seed)
            : load_{load}, name_{logs, number}, random_{seed}, content_{load.contents_[number]}, busy_(blocks) {}

        /// A region somewhere, and a queue of it.
        void add() {
            store_regions all{load_.on_};
            for (;;) {
                const auto made = all.add({.type   = name_.type,
                                           .blocks = block_count{blocks},
                                           .from   = block_index{random_.below(2) * 1500},
                                           .number = name_.number});
                if (made) break;
                Pause{}();
            }
            auto region = all.open(name_);
            if (!region) return load_.complain("a region that was added is not there");
            content_ = pattern(blocks, 512, static_cast<std::uint32_t>(random_.next()));
            if (!region.value().write({{0}, {blocks}}, content_)) load_.complain("a blocking write failed");
            auto opened = region.value().open_queue({.depth = slots_.size() + 1});
            if (!opened) return load_.complain("no queue was opened");
            queue_.emplace(std::move(opened).value());
        }
        void work() {
            const auto many = random_.below(5);
            for (std::uint64_t i = 0; i < many; ++i) submit();
            const auto least = static_cast<std::size_t>(random_.below(4));
            reap(least < queue_->in_flight() ? least : queue_->in_flight());
            const auto rest = random_.below(8);  // with transfers in flight
            for (std::uint64_t i = 0; rest == 0 && i < 20; ++i) Pause{}();
            if (random_.below(40) == 0) replace();
        }
        void end() {
            while (queue_->in_flight() > 0 && load_.wrong() == nullptr) reap(queue_->in_flight());
            queue_.reset();
        }

      private:
        void submit() {
            const auto i     = static_cast<std::size_t>(random_.below(slots_.size()));
            const auto block = random_.below(blocks);
            auto&      one   = slots_[i];
            if (one.out || busy_[block]) return;
            const auto at     = content_.begin() + static_cast<std::ptrdiff_t>(block * 512);
            const bool writes = random_.below(3) != 0;
            one.memory        = writes ? pattern(1, 512, static_cast<std::uint32_t>(random_.next())) : byte_vector(512);
            one.expected.assign(at, at + 512);
            if (writes) std::copy(one.memory.begin(), one.memory.end(), at);
            one.io       = {.blocks = {{block}, {1}},
                            .memory = one.memory.data(),
                            .token  = i,
                            .kind   = writes ? transfer_kind::write : transfer_kind::read};
            one.out      = true;
            busy_[block] = true;
            queue_->submit(one.io);
        }
        void reap(std::size_t least) {
            std::array<transfer*, 10> ended{};
            const auto                count = queue_->complete(ended, least);
            if (!count) return load_.complain("a queue broke");
            for (auto* const io : std::span{ended}.first(count.value())) {
                if (io->failure.code != errc::none) load_.complain("a transfer failed");
                auto& one                     = slots_[io->token];
                one.out                       = false;
                busy_[io->blocks.first.value] = false;
                if (io->kind == transfer_kind::read && one.memory != one.expected)
                    load_.complain("other bytes were read");
            }
        }
        /// Gives the region up, with reads in flight, and takes another one.
        void replace() {
            while (queue_->in_flight() > 0 && load_.wrong() == nullptr) reap(queue_->in_flight());
            submit();
            if (!queue_->complete({}, 0)) load_.complain("a queue broke");
            load_.remove_at_last(name_);
            queue_.reset();
            for (auto& one : slots_) one.out = false;
            busy_.assign(blocks, false);
            add();
        }

        region_queue_load&   load_;
        region_id            name_;
        random_bits          random_;
        byte_vector&         content_;
        std::array<slot, 8>  slots_{};
        std::vector<bool>    busy_;
        std::optional<queue> queue_;
    };

    void complain(const char* why) { wrong_ = why; }
    void remove_at_last(region_id name) {
        for (;;) {
            const auto gone = store_regions{on_}.remove(name);
            if (gone) return;
            if (gone.error().code != errc::busy) return complain("a region could not be removed");
            Pause{}();
        }
    }

    store<Blueprint>&               on_;
    std::uint64_t                   calls_;
    std::array<byte_vector, owners> contents_{};
    std::atomic<const char*>        wrong_{nullptr};
    std::atomic<std::size_t>        owning_{owners};
    std::atomic<bool>               stopping_{false};
    std::atomic<std::uint64_t>      moved_{0};
    std::atomic<std::uint64_t>      slid_{0};
};

}  // namespace ashlar::test
