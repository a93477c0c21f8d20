// The workspace is taken once, at open: where it cannot be, nothing has happened.

#include "../counts.hpp"
#include "../store/store_fixture.hpp"

#include <ashlar/testing/recording_device.hpp>

#include <cstdlib>
#include <new>

namespace {

int allocations_until_failure = -1;  // negative: none fails
int allocations               = 0;

void* take(std::size_t size, std::align_val_t alignment) noexcept {
    ++allocations;
    if (allocations_until_failure == 0) return nullptr;
    if (allocations_until_failure > 0) --allocations_until_failure;
    const auto to = static_cast<std::size_t>(alignment);
    return std::aligned_alloc(to, (size + to - 1) / to * to);
}

}  // namespace

// The workspace is the only memory of that kind; what the test itself allocates is not counted.
void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
    return take(size, alignment);
}
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t, const std::nothrow_t&) noexcept { std::free(memory); }

namespace ashlar::test {
namespace {

class WorkspaceFaults : public testing::Test {
  protected:
    WorkspaceFaults() : memory_{make_memory(shape_)} {
        format_on(memory_, shape_);
        auto live = opened_on(memory_);
        ASHLAR_EXPECT_OK(live.put(live.root(), 0, pattern(700, 1)));
        static_cast<void>(live.abandon());  // opening it has something to recover
    }
    ~WorkspaceFaults() override { allocations_until_failure = -1; }

    void expect_untouched() {
        EXPECT_TRUE(device_.calls().empty()) << "the device was used before there was memory";
        device_.forget();
    }

    volume_shape                    shape_{};
    memory_device                   memory_;
    recording_device<memory_device> device_{memory_};
};

TEST_F(WorkspaceFaults, ALentSpanThatIsTooSmallIsRefusedBeforeTheDeviceIsTouched) {
    const auto    needed = test_store::workspace_bytes({shape_.block_bytes}, with());
    byte_vector   lent(needed + 4096);
    std::uint64_t runs       = 0;
    const auto    is_refused = [&](std::size_t bytes) {
        const auto opened = test_store::open(any_device{device_}, with(), std::span<std::byte>{lent}.first(bytes));
        EXPECT_EQ(code_of(opened), errc::workspace_too_small) << bytes << " of " << needed;
        ++runs;
    };
    for (std::size_t bytes = 0; bytes < needed; bytes += needed / 97) is_refused(bytes);
    is_refused(needed - 1);
    expect_untouched();
    for (std::size_t skew : {0U, 1U, 8U, 511U, 4095U}) {  // wherever the memory begins, what is asked for is enough
        auto opened =
            test_store::open(any_device{device_}, with(), std::span<std::byte>{lent}.subspan(skew).first(needed));
        ASHLAR_ASSERT_OK(opened);
        EXPECT_EQ(findings_of(opened.value()), "");
        ASHLAR_EXPECT_OK(opened.value().close());
    }
    count("fault runs", runs);
}

TEST_F(WorkspaceFaults, AHeapThatHasNoneIsAnErrorAndNoMore) {
    std::uint64_t runs = 0;
    for (const bool read_only : {false, true}) {
        for (int nth = 0;; ++nth) {
            allocations_until_failure = nth;
            auto opened               = read_only ? test_store::open_read_only(any_device{device_}, with())
                                                  : test_store::open(any_device{device_}, with());
            allocations_until_failure = -1;
            if (opened) {
                EXPECT_EQ(nth, 1) << "opening takes its memory from the heap once";
                EXPECT_EQ(findings_of(opened.value()), "");
                static_cast<void>(opened.value().abandon());
                device_.forget();
                break;
            }
            EXPECT_EQ(code_of(opened), errc::workspace_too_small);
            expect_untouched();
            ++runs;
        }
    }
    allocations_until_failure = 0;
    any_device any{device_};
    auto       options = shape_.format();
    options.overwrite  = true;
    EXPECT_EQ(code_of(test_store::format(any, options)), errc::workspace_too_small);
    allocations_until_failure = -1;
    expect_untouched();
    count("fault runs", runs + 1);
}

TEST_F(WorkspaceFaults, AnOpenStoreTakesNoMemoryAnyMore) {
    auto       live  = opened_on(memory_);
    const auto taken = allocations;
    ASHLAR_EXPECT_OK(live.append(live.root(), pattern(3000, 2)));
    const auto made = live.create();
    ASHLAR_ASSERT_OK(made);
    ASHLAR_EXPECT_OK(live.put(made.value(), 0, pattern(20'000, 3)));
    ASHLAR_EXPECT_OK(live.erase(made.value()));
    ASHLAR_EXPECT_OK(live.trim({100}));
    ASHLAR_EXPECT_OK(live.maintain());
    EXPECT_EQ(findings_of(live), "");
    ASHLAR_EXPECT_OK(live.close());
    EXPECT_EQ(allocations, taken);
}

TEST_F(WorkspaceFaults, LimitsThatNoStoreCanWorkWithinAreRefused) {
    for (int which = 0; which < 6; ++which) {
        auto limits = small_limits();
        switch (which) {
            case 0: limits.cache_blocks = 0; break;
            case 1: limits.transactions = 0; break;
            case 2: limits.transaction.extents = 0; break;
            case 3: limits.space.groups_loaded = 0; break;
            case 4: limits.edge_buffers = 0; break;
            default: limits.verify_groups = 0; break;
        }
        EXPECT_EQ(code_of(test_store::open(any_device{device_}, with(limits))), errc::invalid_argument) << which;
    }
    expect_untouched();
}

}  // namespace
}  // namespace ashlar::test
