/// A volume in a file that becomes smaller while it is written, and larger again: the file follows.

#include <ashlar/ashlar.hpp>
#include <ashlar/device/native_device.hpp>
#include <ashlar/shrinking.hpp>

#include <array>
#include <cstdio>

namespace {

struct machine : ashlar::blueprint {
    using device    = ashlar::native_device;
    using journal   = ashlar::ring_journal;
    using threading = ashlar::single_threaded;
};
constexpr ashlar::block_count whole{16384};  // 64 MiB
constexpr ashlar::block_count small{4096};   // 16 MiB

unsigned long long mebibytes(ashlar::block_count blocks) { return blocks.value / 256; }

ashlar::result<> run(const char* path) {
    BOOST_OUTCOME_TRY(auto file, ashlar::native_device::open(path, {.create = true, .bytes = whole.value * 4096}));
    BOOST_OUTCOME_TRY(ashlar::store<machine>::format(file, {.volume = {std::byte{9}}, .overwrite = true}));
    BOOST_OUTCOME_TRY(auto live, ashlar::store<machine>::open(std::move(file)));

    // An object that lies far behind: what was before it goes.
    std::array<std::byte, 65536> bytes{};
    BOOST_OUTCOME_TRY(const auto early, live.create());
    BOOST_OUTCOME_TRY(live.reserve(early, 0, 40ULL << 20U));
    for (int i = 0; i < 32; ++i) { BOOST_OUTCOME_TRY(live.append(live.root(), bytes)); }
    BOOST_OUTCOME_TRY(live.erase(early));

    BOOST_OUTCOME_TRY(auto task, ashlar::shrinking<machine>::open(live));
    BOOST_OUTCOME_TRY(const auto plan, task.plan(small));
    std::printf("%llu MiB hold what is in use; to become %llu MiB, %llu blocks move\n", mebibytes(plan.smallest) + 1,
                mebibytes(plan.after), static_cast<unsigned long long>(plan.in_use.value));
    BOOST_OUTCOME_TRY(task.start(small));
    std::uint64_t written = 0;
    for (; task.running(); ++written) {
        static_cast<void>(task.step({.blocks_max = 128}));
        BOOST_OUTCOME_TRY(live.write(live.root(), written * 512, std::span{bytes}.first(512)));
    }
    const auto& done = task.last_result();
    if (!done.shrank() || live.device().geometry().blocks != small) return ashlar::errc::no_space;
    std::printf("shrank to %llu MiB and gave %llu MiB back, while %llu writes were made\n", mebibytes(done.after),
                mebibytes(done.given_back), static_cast<unsigned long long>(written));

    BOOST_OUTCOME_TRY(live.device().resize(whole));  // or somebody enlarged the disk: store_size::refresh
    BOOST_OUTCOME_TRY(const auto grown, ashlar::store_size{live}.grow());
    std::printf("grew to %llu MiB; %llu blocks describe the new ones\n", mebibytes(grown.after),
                static_cast<unsigned long long>(grown.tables.value));
    BOOST_OUTCOME_TRY(const auto proved, live.verify([](const ashlar::verify_finding&) {}));
    if (proved.findings != 0 || grown.after != whole) return ashlar::errc::damaged;
    return live.close();
}

}  // namespace

int main(int count, char** words) {
    const auto done = run(count > 1 ? words[1] : "volume.ash");
    if (!done) std::fprintf(stderr, "%s\n", ashlar::message(done.error().code));
    return done ? 0 : 1;
}
