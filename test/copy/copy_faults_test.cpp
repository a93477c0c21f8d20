// The n-th read, write and sync of either side fails, once and for good, while a store in use is copied; and queues
// that break, turn the order round, and hand back one transfer at a time.

#include "../channel/channel_fixture.hpp"
#include "../counts.hpp"
#include "copy_fixture.hpp"

namespace ashlar::test {
namespace copy_faults_test {

constexpr volume_shape shape{.blocks = 2600, .record_bytes = roomy_record_bytes, .inline_extents = 2};

volume_copy_options small_steps() {
    return {.chunk           = block_count{4},
            .chunks_together = 2,
            .memory_bytes    = 16 * 1024,
            .in_use          = true,
            .passes_max      = 3,
            .rest_max        = block_count{24}};
}

/// A volume on a device that may fail.
struct faulty_side {
    explicit faulty_side(std::span<const std::byte> image) : memory{make_memory(shape)}, device{memory} {
        std::copy(image.begin(), image.end(), memory.bytes().begin());
        live = opened_on(device);
    }
    ~faulty_side() { static_cast<void>(live.abandon()); }

    void reopen() {
        device.heal();
        static_cast<void>(live.abandon());
        live = opened_on(device);
    }

    memory_device                memory;
    faulty_device<memory_device> device;
    test_store                   live;
};

struct fault {
    bool          in_source = false;
    transfer_kind kind      = transfer_kind::read;
    std::uint64_t nth       = 1;
    fault_lasts   lasts     = fault_lasts::once;
};

struct CopyFaultsTest : testing::Test {
    using task = volume_copy<test_blueprint<>, test_blueprint<>>;

    CopyFaultsTest() {
        auto memory = make_memory(shape);
        format_on(memory, shape, 2);
        empty.assign(memory.bytes().begin(), memory.bytes().end());
        memory = make_memory(shape);
        format_on(memory, shape);
        auto live = opened_on(memory);
        fill(live);
        add_features(live);
        ASHLAR_EXPECT_OK(live.close());
        full.assign(memory.bytes().begin(), memory.bytes().end());
    }

    /// Copies with the fault, mended where nothing goes on. Answers whether it was met.
    bool run(const fault& planned) {
        faulty_side  source{full}, target{empty};
        random_user  user{planned.nth};
        feature_user more{planned.nth};
        (planned.in_source ? source : target).device.fail(planned.kind, planned.nth, planned.lasts);
        std::optional<task> copying;
        std::uint64_t       errors = 0;
        bool                done   = false;
        const auto          failed = [&] {
            if (++errors % 3 == 0) {
                source.device.heal();
                target.device.heal();
            }
            if (!target.live.read_only()) return;
            copying.reset();
            target.reopen();
        };
        for (int i = 0; i < 300 && !done; ++i) {
            if (!copying) {
                auto opened = task::open(source.live, target.live, small_steps());
                if (opened) copying.emplace(std::move(opened.value()));
                // Where the very last step failed the mark may be gone: then the copy is whole.
                done = code_of(opened) == errc::busy &&
                       code_of(store_regions{target.live}.find({task::marker_type, 0})) == errc::not_found;
                if (!opened && !done) failed();
                continue;
            }
            const auto said = copying->step({.blocks_max = 50, .candidates_max = 20});
            if (i < 40) {
                user.change(source.live);
                more.change(source.live);
            }
            if (said.reasons.has(stop_reason::device_error)) {
                failed();
            } else if (said.reasons.has(stop_reason::nothing_to_gain)) {
                done = copying->finish().has_value();
                if (!done) failed();
            }
        }
        EXPECT_TRUE(done) << "it never ends";
        const auto met = source.device.failures() + target.device.failures() != 0;
        source.device.heal();
        target.device.heal();
        EXPECT_EQ(content_of(target.live), content_of(source.live));
        EXPECT_EQ(findings_of(target.live), "");
        EXPECT_EQ(source.live.volume().space.readers(), 0U);
        ASHLAR_EXPECT_OK(target.live.checkpoint());
        EXPECT_FALSE(target.live.volume().space.is_waited_for(block_index{0})) << "what was not placed was given back";
        return met;
    }

    byte_vector empty, full;
};

TEST_F(CopyFaultsTest, AnyTransferMayFailAndWhatIsFinishedIsRight) {
    std::uint64_t scenes = 0;
    for (const bool in_source : {true, false}) {
        for (const auto kind : {transfer_kind::read, transfer_kind::write, transfer_kind::sync}) {
            for (const auto lasts : {fault_lasts::once, fault_lasts::for_good}) {
                const std::uint64_t step = kind == transfer_kind::sync ? 1 : 1 + 6 / scaled(1);
                for (std::uint64_t nth = 1;; nth += step, ++scenes) {
                    const bool met = run({in_source, kind, nth, lasts});
                    if (HasFailure()) {
                        ADD_FAILURE() << (in_source ? "source" : "target") << " kind " << static_cast<int>(kind)
                                      << " number " << nth << (lasts == fault_lasts::once ? " once" : " for good");
                        return;
                    }
                    if (!met) break;
                }
            }
        }
    }
    EXPECT_GT(scenes, 100U);
    count("faults of copies in use", scenes);
}

/// Both sides have queues that the test orders about.
struct CopyQueueTest : testing::Test {
    using queued_store = store<ordered_single>;
    using task         = volume_copy<ordered_single, ordered_single>;

    CopyQueueTest() : memory{make_memory(shape)}, other{make_memory(shape)} {
        format_on(memory, shape);
        format_on(other, shape, 2);
        source = opened(memory, source_orders);
        target = opened(other, target_orders);
        fill(source);
    }
    ~CopyQueueTest() override {
        static_cast<void>(source.abandon());
        static_cast<void>(target.abandon());
    }
    static queued_store opened(memory_device& memory, queue_orders& orders) {
        return queued_store::open(ordered_device{memory, orders}, with<queued_store>()).value();
    }
    void expect_copied(task& copying) {
        const auto said = copying.step({.blocks_max = 9000, .candidates_max = 9000});
        ASSERT_EQ(said.reasons, stop_reason::finished) << message(said.failure.code);
        EXPECT_EQ(content_of(target), content_of(source));
        EXPECT_EQ(findings_of(target), "");
        ASHLAR_EXPECT_OK(target.checkpoint());
        EXPECT_FALSE(target.volume().space.is_waited_for(block_index{0})) << "what was not placed was given back";
    }
    void break_often(queue_orders& orders) {
        auto        copying = task::open(source, target, {.chunk = block_count{4}, .memory_bytes = 16 * 1024}).value();
        std::size_t broke   = 0;
        for (std::size_t call = 1; call < 12; ++call) {
            orders.calls     = 0;
            orders.breaks_at = call;
            const auto said  = copying.step({.blocks_max = 60, .candidates_max = 9000});
            if (said.reasons.has(stop_reason::finished)) break;
            EXPECT_TRUE(said.reasons == stop_reason::budget_spent || said.failure.code == errc::device_failed);
            broke += said.failure.code == errc::device_failed ? 1U : 0U;
        }
        EXPECT_GT(broke, 0U);
        orders.breaks_at = 0;
        expect_copied(copying);
    }

    memory_device memory, other;
    queue_orders  source_orders, target_orders;
    queued_store  source, target;
};

TEST_F(CopyQueueTest, ManyTransfersOfBothSidesAreInFlightAndMayEndInAnyOrder) {
    for (auto* const orders : {&source_orders, &target_orders}) {
        orders->newest_first = true;
        orders->reap         = 1;
    }
    auto copying = task::open(source, target, {.chunk = block_count{4}, .memory_bytes = 64 * 1024}).value();
    expect_copied(copying);
    EXPECT_GT(source_orders.deepest.load(), 8U);
    EXPECT_GT(target_orders.deepest.load(), 4U);
}

TEST_F(CopyQueueTest, AQueueOfTheSourceThatBreaksEndsTheStepAndTheNextOpensAnother) { break_often(source_orders); }
TEST_F(CopyQueueTest, AQueueOfTheTargetThatBreaksEndsTheStepAndTheNextOpensAnother) { break_often(target_orders); }

}  // namespace copy_faults_test
}  // namespace ashlar::test
