/// A volume in a file: made once, written, closed, opened again.
/// usage: example_01_hello_store FILE

#include <ashlar/ashlar.hpp>
#include <ashlar/device/file_device.hpp>

#include <cstdio>
#include <random>
#include <string_view>

namespace {

struct notebook : ashlar::blueprint {  // device, journal and threading have no default: a wrong guess would cost data
    using device    = ashlar::file_device;
    using journal   = ashlar::ring_journal;
    using threading = ashlar::single_threaded;
};
using notebook_store = ashlar::store<notebook>;

/// No two volumes share an id: it is part of every metadata checksum.
ashlar::volume_id fresh_id() {
    std::random_device random;
    ashlar::volume_id  id{};
    for (auto& byte : id) byte = static_cast<std::byte>(random());
    return id;
}

ashlar::result<> make(const char* path) {
    BOOST_OUTCOME_TRY(auto device, ashlar::file_device::open(path, {.create = true, .bytes = 16 << 20}));
    return notebook_store::format(device, {.volume = fresh_id(), .label = "notebook"});
}

ashlar::result<> add_a_line(const char* path, std::string_view line) {
    BOOST_OUTCOME_TRY(auto device, ashlar::file_device::open(path));
    BOOST_OUTCOME_TRY(auto notes, notebook_store::open(std::move(device)));
    BOOST_OUTCOME_TRY(notes.append(notes.root(), std::as_bytes(std::span{line})));  // atomic, visible at once
    BOOST_OUTCOME_TRY(notes.sync());                                                // durable from here on

    std::byte text[256];
    BOOST_OUTCOME_TRY(const auto size, notes.read(notes.root(), 0, text));
    std::printf("%.*s", static_cast<int>(size), reinterpret_cast<const char*>(text));
    return notes.close();
}

}  // namespace

int main(int count, char** words) {
    if (count != 2) return 2;
    auto done = make(words[1]);
    if (!done && done.error().code == ashlar::errc::busy) done = ashlar::success();  // a volume stands there already
    if (done) done = add_a_line(words[1], "hello, store\n");
    if (!done) std::fprintf(stderr, "%s: %s\n", words[1], ashlar::message(done.error().code));
    return done ? 0 : 1;
}
