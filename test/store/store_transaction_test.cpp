#include "store_fixture.hpp"

namespace ashlar::test {
namespace {

TEST(StoreTransaction, SeesWhatAnotherOneDidToTheNextRecord) {
    auto memory = make_memory({});
    format_on(memory, {});
    auto       opened = opened_on(memory);
    const auto first = opened.create(), second = opened.create();  // their records lie in one block
    ASHLAR_ASSERT_OK(first);
    ASHLAR_ASSERT_OK(second);

    auto one = opened.begin();
    ASHLAR_ASSERT_OK(one);
    ASHLAR_EXPECT_OK(one.value().write(first.value(), 0, pattern(100, 1)));
    ASHLAR_EXPECT_OK(opened.write(second.value(), 0, pattern(3000, 2)));
    ASHLAR_EXPECT_OK(one.value().write(second.value(), 3000, pattern(50, 3)));
    ASHLAR_EXPECT_OK(one.value().commit());

    model_state expected{
        {opened.root().value, {}}, {first.value().value, pattern(100, 1)}, {second.value().value, pattern(3000, 2)}};
    model_write(expected[second.value().value], 3000, pattern(50, 3));
    EXPECT_EQ(difference(opened, expected), "");
    EXPECT_EQ(findings_of(opened), "");
}

}  // namespace
}  // namespace ashlar::test
