#include "channel_fixture.hpp"

#include <ashlar/device/native_device.hpp>

#include <unistd.h>

namespace ashlar::test {
namespace channel_test {

/// A file in the current folder.
struct channel_file {
    channel_file() { std::remove(path.c_str()); }
    channel_file(const channel_file&)            = delete;
    channel_file& operator=(const channel_file&) = delete;
    ~channel_file() { std::remove(path.c_str()); }
    std::string path = "channel_" + std::to_string(::getpid()) + ".ash";
};

/// How each kind of device is made, and made again as after a crash.
template <class Device, class ThreadingPolicy>
struct on_file {
    using blueprint = channel_blueprint<Device, ThreadingPolicy>;
    channel_file   file;
    result<Device> fresh() {
        return Device::open(file.path.c_str(), {.block_bytes = 512, .create = true, .bytes = 4000 * 512});
    }
    result<Device> again(Device device) {
        { const auto gone = std::move(device); }  // and its lock on the file
        return Device::open(file.path.c_str(), {.block_bytes = 512});
    }
};
template <class ThreadingPolicy>
struct on_memory {
    using blueprint = channel_blueprint<memory_device, ThreadingPolicy>;
    result<memory_device> fresh() { return memory_device::create({512}, {4000}); }
    result<memory_device> again(memory_device device) { return device; }
};

template <class Made>
class Channel : public testing::Test {
  protected:
    using blueprint_type = typename Made::blueprint;
    using store_type     = store<blueprint_type>;

    void SetUp() override {
        auto device = made.fresh();
        ASHLAR_ASSERT_OK(device);
        ASHLAR_ASSERT_OK(store_type::format(device.value(), volume_shape{.journal_blocks = 128}.format()));
        open(std::move(device).value());
    }
    void open(typename blueprint_type::device device) {
        auto opened = store_type::open(std::move(device));
        ASHLAR_ASSERT_OK(opened);
        live = std::move(opened).value();
    }
    void crash() {
        auto device = made.again(live.abandon());
        ASHLAR_ASSERT_OK(device);
        open(std::move(device).value());
    }
    channel<blueprint_type> channel_of(channel_options options = {}) {
        auto opened = channel<blueprint_type>::open(live, options);
        EXPECT_TRUE(opened) << said(opened);
        return std::move(opened).value();
    }

    Made       made;
    store_type live;
};

using kinds =
    testing::Types<on_memory<single_threaded>, on_memory<multi_threaded>, on_file<file_device, single_threaded>,
                   on_file<native_device, single_threaded>, on_file<native_device, multi_threaded>>;
TYPED_TEST_SUITE(Channel, kinds);

TYPED_TEST(Channel, ReadsWhatBlockingCallsWroteWhateverItsShape) {
    const auto id = this->live.create().value();
    // Pieces far apart in time lie far apart on the device: many extents, and holes between them.
    byte_vector expected(120'000);
    for (std::uint64_t i = 0; i < 40; ++i) {
        const auto piece  = pattern(static_cast<std::size_t>(300 + i * 37), i);
        const auto offset = (i * 7919) % 110'000;
        ASHLAR_ASSERT_OK(this->live.write(id, offset, piece));
        model_write(expected, offset, piece);
        ASHLAR_ASSERT_OK(this->live.write(this->live.root(), i * 512, piece));
    }
    expected.resize(this->live.size(id).value());
    ASHLAR_ASSERT_OK(this->live.checkpoint());

    auto                     on = this->channel_of({.depth = 12});
    random_bits              random{5};
    std::vector<byte_vector> memory(200);
    std::vector<request>     asked(memory.size());
    std::array<request*, 12> finished;
    std::size_t              sent = 0, came = 0;
    while (came < asked.size()) {
        while (sent < asked.size() && on.in_flight() < on.depth()) {
            memory[sent].assign(sent % 9 == 0 ? expected.size() + 500 : 1 + random.below(20'000), std::byte{0xEE});
            asked[sent] = read_of(id, sent % 9 == 0 ? 0 : random.below(expected.size() + 600), memory[sent]);
            on.submit(asked[sent++]);
        }
        const auto done = on.complete(finished, 1);
        ASHLAR_ASSERT_OK(done);
        came += done.value();
    }
    for (const auto& one : asked) {
        ASSERT_EQ(one.failure.code, errc::none) << said(one);
        const auto left = one.offset < expected.size() ? expected.size() - one.offset : 0;
        ASSERT_EQ(one.moved, std::min<std::size_t>(left, one.memory.size()));
        if (one.moved == 0) continue;
        ASSERT_EQ(std::memcmp(one.memory.data(), expected.data() + one.offset, one.moved), 0) << one.offset;
    }
}

TYPED_TEST(Channel, PutsOfManyObjectsAreThereAfterACrash) {
    std::vector<object_id> ids;
    for (int i = 0; i < 20; ++i) ids.push_back(this->live.create().value());
    model_state expected;
    for (const auto id : ids) expected[id.value] = {};
    expected[this->live.root().value] = {};
    {
        auto                     on = this->channel_of();
        std::vector<byte_vector> memory(20);
        std::vector<request>     asked(memory.size());
        for (std::uint64_t round = 0; round < 3; ++round) {
            for (std::size_t i = 0; i < asked.size(); ++i) {
                memory[i] = pattern(100 + 150 * i, round * 100 + i);
                asked[i]  = put_of(ids[i], round * 333, memory[i]);
                model_write(expected[ids[i].value], round * 333, memory[i]);
                on.submit(asked[i]);
            }
            ASSERT_EQ(finish_all(on), asked.size());
            for (const auto& one : asked) ASSERT_EQ(one.failure.code, errc::none) << said(one);
        }
    }
    this->crash();
    EXPECT_EQ(difference(this->live, expected), "");
    EXPECT_EQ(findings_of(this->live), "");
    ASHLAR_EXPECT_OK(this->live.close());
}

TYPED_TEST(Channel, AWriteIsSeenAtOnceAndASyncKeepsIt) {
    const auto id    = this->live.create().value();
    auto       bytes = pattern(3000, 1);
    {
        auto on    = this->channel_of();
        auto wrote = write_of(id, 100, bytes);
        run_one(on, wrote);
        ASSERT_EQ(wrote.failure.code, errc::none) << said(wrote);
        EXPECT_EQ(wrote.moved, bytes.size());
        byte_vector seen(bytes.size());
        auto        read = read_of(id, 100, seen);
        run_one(on, read);
        ASSERT_EQ(read.failure.code, errc::none) << said(read);
        EXPECT_EQ(seen, bytes);
        request sync{.verb = request_verb::sync};
        run_one(on, sync);
        ASSERT_EQ(sync.failure.code, errc::none) << said(sync);
    }
    this->crash();
    byte_vector seen(bytes.size());
    ASHLAR_ASSERT_OK(this->live.read(id, 100, std::span<std::byte>{seen}));
    EXPECT_EQ(seen, bytes);
}

TYPED_TEST(Channel, EndsItsRequestsWhenItIsDestroyed) {
    const auto  id    = this->live.create().value();
    auto        bytes = pattern(2000, 1);
    byte_vector seen(2000);
    request     put, read;
    {
        auto                    on = this->channel_of();
        std::array<request*, 1> finished;
        put = put_of(id, 0, bytes);
        on.submit(put);
        ASHLAR_ASSERT_OK(on.complete(finished, 0));
        read = read_of(this->live.root(), 0, seen);
        on.submit(read);
    }
    EXPECT_EQ(put.failure.code, errc::none) << said(put);
    EXPECT_EQ(put.moved, bytes.size());
    this->crash();
    ASHLAR_ASSERT_OK(this->live.read(id, 0, std::span<std::byte>{seen}));
    EXPECT_EQ(seen, bytes);
}

}  // namespace channel_test
}  // namespace ashlar::test
