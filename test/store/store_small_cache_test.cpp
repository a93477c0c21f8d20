// The smallest cache that a store accepts.

#include "store_fixture.hpp"

namespace ashlar::test {
namespace store_small_cache_test {

TEST(StoreSmallCache, ReadersFindRoomHoweverMuchIsChangedAndNotAtHome) {
    const volume_shape shape{.block_bytes = 512, .blocks = 6000, .journal_blocks = 512};
    auto               memory = make_memory(shape);
    format_on(memory, shape);
    auto limits                = small_limits();
    limits.cache_blocks        = cache_blocks_min;
    limits.transaction.shadows = 8;
    auto        store          = opened_on(memory, limits);
    random_bits random{1};
    model_state model;
    model[store.root().value] = {};
    for (int i = 0; i < 60; ++i) {
        const auto made = store.create();
        ASHLAR_ASSERT_OK(made);
        model[made.value().value] = {};
    }
    for (int round = 0; round < 1500; ++round) {
        auto at = model.begin();
        std::advance(at, static_cast<long>(random.below(model.size())));
        const auto bytes  = pattern(static_cast<std::size_t>(1 + random.below(1500)), random.next());
        const auto offset = random.below(9000);
        ASHLAR_ASSERT_OK(store.write({at->first}, offset, bytes));
        model_write(at->second, offset, bytes);
        auto other = model.begin();
        std::advance(other, static_cast<long>(random.below(model.size())));
        byte_vector found(other->second.size());
        ASHLAR_ASSERT_OK(store.read({other->first}, 0, std::span<std::byte>{found}));
        ASSERT_TRUE(found == other->second);
    }
    EXPECT_EQ(difference(store, model), "");
    EXPECT_EQ(findings_of(store), "");
    ASHLAR_EXPECT_OK(store.close());
}

}  // namespace store_small_cache_test
}  // namespace ashlar::test
