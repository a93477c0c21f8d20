// Volumes as they were when their format was new: made again byte for byte, opened, read and proved.
//
// With ASHLAR_GOLDEN_WRITE=FOLDER the images are written there instead of being compared.

#include "golden_image.hpp"
#include "golden_volume.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

#ifndef ASHLAR_SOURCE
#define ASHLAR_SOURCE "."  // built by hand: run it from the root of the sources
#endif

namespace ashlar::test {
namespace golden_test {

constexpr const char* advice =
    "The bytes that this script leaves behind have changed. If bytes mean something else now, that is a new format: "
    "raise superblock_version or take a bit of the format masks, keep this image as one of the old format and add one "
    "of "
    "the new. If the same bytes only went elsewhere (allocation, batching, what goes home when), make the images "
    "again: "
    "ASHLAR_GOLDEN_WRITE=test/golden build/gcc/test/test_golden, and say so in the commit.";

class Golden : public ::testing::TestWithParam<golden_shape> {
  protected:
    [[nodiscard]] static std::string path() {
        return std::string{ASHLAR_SOURCE "/test/golden/"} + GetParam().name + ".txt";
    }
    [[nodiscard]] static memory_device empty() {
        return std::move(memory_device::create({GetParam().block_bytes}, {GetParam().blocks})).value();
    }
};

class GoldenMade : public Golden {};  ///< What this build makes again.

std::vector<golden_shape> made_shapes() {
    std::vector<golden_shape> made;
    for (const auto& one : golden_shapes) {
        if (one.made) made.push_back(one);
    }
    return made;
}

void expect_holds(golden_store& store, const golden_model& model) {
    for (const auto& [number, bytes] : model.objects) {
        golden_bytes found(bytes.size() + 1);
        const auto   read = store.read(object_id{number}, 0, found);
        ASSERT_TRUE(read) << "object " << number;
        found.resize(read.value());
        EXPECT_TRUE(found == bytes) << "object " << number << " does not hold what was written to it";
    }
    std::size_t objects = 0;
    for (const auto id : store.objects()) {
        EXPECT_TRUE(model.objects.contains(id.value)) << "object " << id.value << " should not be there";
        ++objects;
    }
    EXPECT_EQ(objects, model.objects.size());
    const auto report = store.verify([](const verify_finding& one) {
        ADD_FAILURE() << static_cast<int>(one.problem) << " at block " << one.block.value;
    });
    EXPECT_TRUE(report);
}

TEST_P(GoldenMade, TheSameOperationsMakeTheStoredImage) {
    auto       memory = empty();
    const auto model  = make_golden(memory, GetParam());
    ASSERT_TRUE(model) << "error " << static_cast<int>(model.error().code);
    const auto made = golden_text(memory.bytes());
    if (const char* const folder = std::getenv("ASHLAR_GOLDEN_WRITE")) {
        std::ofstream{std::string{folder} + "/" + GetParam().name + ".txt"} << made;
        GTEST_SKIP() << "written, not compared";
    }
    const auto stored = read_golden(path());
    ASSERT_TRUE(stored) << path() << " is missing or is no image";
    ASSERT_EQ(stored->size(), memory.bytes().size());
    std::size_t at = 0;
    while (at < stored->size() && (*stored)[at] == memory.bytes()[at]) ++at;
    EXPECT_EQ(at, stored->size()) << "they differ from byte " << at << " on, in block " << at / GetParam().block_bytes
                                  << ".\n"
                                  << advice;
}

TEST_P(Golden, TheStoredImageOpensAndHoldsEverything) {
    auto       scratch = empty();
    const auto model   = make_golden(scratch, GetParam());
    ASSERT_TRUE(model);
    auto stored = read_golden(path());
    ASSERT_TRUE(stored) << path() << " is missing or is no image";
    auto memory = memory_device::lend(*stored, {GetParam().block_bytes});
    ASSERT_TRUE(memory);

    {
        const auto untouched = *stored;
        auto       reader    = golden_store::open_read_only(device_ref{memory.value()}, golden_options());
        ASSERT_TRUE(reader) << "This build no longer reads a volume of an older format.";
        EXPECT_EQ(reader.value().recovered().was_clean, GetParam().closed);
        expect_holds(reader.value(), model.value());
        static_cast<void>(reader.value().abandon());
        EXPECT_TRUE(*stored == untouched) << "A read-only open has written.";
    }
    auto writer = golden_store::open(device_ref{memory.value()}, golden_options());
    ASSERT_TRUE(writer) << "This build no longer writes a volume of an older format.";
    expect_holds(writer.value(), model.value());
    EXPECT_EQ(std::string{writer.value().info().label.data()}, "golden");
    EXPECT_TRUE(writer.value().put(writer.value().root(), 8192, golden_writer::pattern(600, 9)));
    EXPECT_TRUE(writer.value().close());
}

INSTANTIATE_TEST_SUITE_P(Formats, GoldenMade, ::testing::ValuesIn(made_shapes()),
                         [](const auto& one) { return std::string{one.param.name}; });
INSTANTIATE_TEST_SUITE_P(Formats, Golden, ::testing::ValuesIn(golden_shapes),
                         [](const auto& one) { return std::string{one.param.name}; });

}  // namespace golden_test
}  // namespace ashlar::test
