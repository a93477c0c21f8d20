/// Any image may be opened: the answer is a result or an error, the cost is bounded, and reading changes nothing.

#include "image_input.hpp"

namespace ashlar::fuzz {
namespace {

/// A repair ends, and what could be read can be read as before: data is never touched.
void mend(live_store& live) {
    const auto before = contents_of_readable(live);
    if (!live.repair(false)) return;
    const auto after = contents_of_readable(live);
    for (const auto& [id, bytes] : before) {
        const auto held = after.find(id);
        expect(held != after.end() && held->second == bytes, "a repair takes nothing away that could be read");
    }
    static_cast<void>(live.repair(false));
}

void run(bytes_in input) {
    image_input prepared{input};
    auto&       on = prepared.on();
    seen        before;
    bool        read = false;
    if (auto live = live_store::open(on, live_store::access::read_only)) {
        before = look_at_everything(live.value());
        read   = true;
        static_cast<void>(live.value().repair(true));
    }
    expect(on.written == 0, "a read-only open writes nothing, and a repair that is rehearsed neither");
    auto live = live_store::open(on, live_store::access::read_write);
    if (!live) return;
    const auto after = look_at_everything(live.value());
    if (read && before.whole && after.whole) {
        expect(before.digest == after.digest, "a whole volume reads the same before and after its recovery");
    }
    if (!prepared.changed()) {
        expect(read && before.whole && after.whole, "a volume that nobody changed is whole");
        expect(contents_of(live.value()) == prepared.base()->objects,
               "a volume that nobody changed holds what it held");
    }
    mend(live.value());
    static_cast<void>(live.value().close());
}

std::vector<seed_input> seeds() {
    auto made = image_seeds({});
    // A whole image, cut behind its first frame.
    const auto& whole = base_of(0).bytes;
    made.push_back({"whole_but_cut", {whole.begin(), whole.begin() + 4096}});
    return made;
}

}  // namespace

const target open_target{"open", run, repair_whole_image, seeds};

}  // namespace ashlar::fuzz
