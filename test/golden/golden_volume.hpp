#pragma once
/// The volumes whose images lie in this folder: a fixed script of operations, and what it leaves behind.

#include <ashlar/ashlar.hpp>
#include <ashlar/device/device_ref.hpp>
#include <ashlar/device/memory_device.hpp>

#include <cstring>
#include <map>
#include <ostream>
#include <string>
#include <vector>

namespace ashlar::test {

using golden_bytes = std::vector<std::byte>;

/// An image: how large its blocks are, and whether the store was closed or left as a crash leaves it.
struct golden_shape {
    const char*   name;
    std::uint32_t block_bytes;
    std::uint64_t blocks;
    bool          closed;
    bool          made = true;  ///< False: older builds left these bytes, and this one only opens them.
};

/// One set for each format version. When there is a second, the first is only opened, no longer made again, for as long
/// as builds promise to read it.
inline constexpr golden_shape golden_shapes[] = {
    {"v1_512_clean", 512, 1200, true, false},  // closed before anchors said that nothing follows
    {"v1_512_closed", 512, 1200, true},        {"v1_512_journal", 512, 1200, false},
    {"v1_4096_clean", 4096, 320, true, false}, {"v1_4096_closed", 4096, 320, true},
    {"v1_4096_journal", 4096, 320, false},
};

inline void PrintTo(const golden_shape& shape, std::ostream* to) { *to << shape.name; }

struct golden_blueprint : blueprint {
    using device    = device_ref<memory_device>;
    using journal   = ring_journal;
    using threading = single_threaded;
};
using golden_store = store<golden_blueprint>;

/// What the objects hold, by id.
struct golden_model {
    std::map<std::uint64_t, golden_bytes> objects;
};

inline golden_store::options golden_options() {
    golden_store::options chosen;
    chosen.limits.cache_blocks  = 96;
    chosen.limits.transaction   = {.shadows = 40, .extents = 48, .data_blocks = 48, .objects = 6};
    chosen.limits.transactions  = 3;
    chosen.limits.space         = {.groups_loaded = 2, .retired = 256, .holds = 4};
    chosen.limits.staging_bytes = 65536;
    chosen.limits.journal_bytes = 65536;
    return chosen;
}

/// Keeps the store and the model of what it holds in step. The first call that fails is remembered, the rest do
/// nothing.
class golden_writer {
  public:
    explicit golden_writer(golden_store& on) : store_{on} { model_.objects[store_.root().value]; }

    [[nodiscard]] const golden_model& model() const noexcept { return model_; }
    [[nodiscard]] const result<>&     outcome() const noexcept { return outcome_; }

    /// Bytes that repeat in 32: the image stays small, and each write is its own.
    static golden_bytes pattern(std::size_t bytes, unsigned seed) {
        golden_bytes made(bytes);
        for (std::size_t i = 0; i < bytes; ++i) made[i] = static_cast<std::byte>(seed * 37 + i % 32);
        return made;
    }

    object_id create() {
        object_id made{};
        run([&]() -> result<> {
            BOOST_OUTCOME_TRY(made, store_.create());
            model_.objects[made.value];
            return success();
        });
        return made;
    }
    void write(object_id id, std::size_t offset, std::size_t bytes, unsigned seed) {
        const auto data = pattern(bytes, seed);
        run([&] { return store_.write(id, offset, data); });
        auto& object = model_.objects[id.value];
        if (object.size() < offset + bytes) object.resize(offset + bytes);
        std::memcpy(object.data() + offset, data.data(), bytes);
    }
    void append(object_id id, std::size_t bytes, unsigned seed) {
        const auto data = pattern(bytes, seed);
        run([&]() -> result<> {
            return store_.append(id, data).has_error() ? result<>{errc::device_failed} : success();
        });
        auto& object = model_.objects[id.value];
        object.insert(object.end(), data.begin(), data.end());
    }
    void truncate(object_id id, std::size_t size) {
        run([&] { return store_.truncate(id, size); });
        model_.objects[id.value].resize(size);
    }
    void punch(object_id id, std::size_t offset, std::size_t length) {
        run([&] { return store_.punch(id, offset, length); });
        auto& object = model_.objects[id.value];
        for (std::size_t i = offset; i < offset + length && i < object.size(); ++i) object[i] = std::byte{0};
    }
    void erase(object_id id) {
        run([&] { return store_.erase(id); });
        model_.objects.erase(id.value);
    }
    template <class Call>
    void run(Call call) {
        if (outcome_) outcome_ = call();
    }

  private:
    golden_store& store_;
    golden_model  model_{};
    result<>      outcome_ = success();
};

/// Every kind of change, some of it at home and some of it in the ring only.
inline void golden_script(golden_store& store, golden_writer& writer) {
    const auto root  = store.root();
    const auto large = writer.create();
    const auto small = writer.create();
    const auto dying = writer.create();
    writer.write(root, 0, 5000, 1);
    writer.append(small, 100, 2);
    writer.run([&] { return store.sync(); });
    for (unsigned i = 0; i < 12; ++i) {  // two objects that grow in turn lie in pieces
        writer.append(large, 3000, 10 + i);
        writer.append(dying, 2000, 40 + i);
        if (i % 3 == 2) writer.run([&] { return store.sync(); });
    }
    writer.write(large, 4096, 6000, 3);
    writer.punch(large, 12288, 8192);
    writer.run([&] { return store.checkpoint(); });

    writer.run([&] { return store.reserve(small, 8192, 8192); });
    writer.write(small, 8192, 1000, 4);
    writer.run([&] { return store.pin(root, 0, 4096); });
    std::array<std::byte, attribute_bytes> attributes{};
    attributes[0] = std::byte{0xA5};
    writer.run([&] { return store.set_attributes(large, attributes); });
    writer.run([&] { return store.sync(); });
    writer.erase(dying);
    writer.truncate(large, 30000);
    writer.run([&] { return store.sync(); });
    const auto late = writer.create();
    writer.append(late, 700, 5);
    writer.run([&] { return store.sync(); });
    writer.write(late, 0, 300, 6);  // a batch whose data rides in it
    writer.run([&] { return store.sync(); });
}

/// Makes a volume of that shape. Answers its model.
inline result<golden_model> make_golden(memory_device& memory, const golden_shape& shape) {
    device_ref     device{memory};
    format_options chosen{.label = "golden", .journal_blocks = {64}, .created = 1'000'000'000'000'000'000U};
    for (std::size_t i = 0; i < chosen.volume.size(); ++i) chosen.volume[i] = static_cast<std::byte>(0xC0 + i);
    BOOST_OUTCOME_TRY(golden_store::format(device, chosen));
    BOOST_OUTCOME_TRY(auto opened, golden_store::open(device, golden_options()));
    golden_writer writer{opened};
    golden_script(opened, writer);
    BOOST_OUTCOME_TRY(writer.outcome());
    if (shape.closed) {
        BOOST_OUTCOME_TRY(opened.close());
    } else {
        static_cast<void>(opened.abandon());
    }
    return writer.model();
}

}  // namespace ashlar::test
