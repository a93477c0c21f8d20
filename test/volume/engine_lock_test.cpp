// How lookups are wanted is each thread's own, whoever has the lock between.

#include <ashlar/hosted/multi_threaded.hpp>
#include <ashlar/volume/engine_lock.hpp>

#include <gtest/gtest.h>

namespace ashlar::test {
namespace engine_lock_test {

TEST(EngineLock, WhoEntersWhileAnotherGaveItUpBeginsWithItsOwnMode) {
    engine_lock<multi_threaded> lock;
    lock.enter();
    lock.set_mode(load_mode::again_on_miss);
    const auto others = lock.outside([&] {
        lock.enter();  // another thread's call, while this one's transfer is under way
        const auto mode = lock.mode();
        lock.set_mode(load_mode::again_on_loading);
        lock.leave();
        return mode;
    });
    EXPECT_EQ(others, load_mode::in_place);
    EXPECT_EQ(lock.mode(), load_mode::again_on_miss);
    lock.leave();
}

}  // namespace engine_lock_test
}  // namespace ashlar::test
