#pragma once
/// A volume with objects in many pieces, and a foreground object in one.

#include "raw_copy.hpp"

#include <ashlar/ashlar.hpp>
#include <ashlar/device/io_uring_device.hpp>
#include <ashlar/hosted/multi_threaded.hpp>
#include <ashlar/hosted/steady_clock.hpp>

#include <array>
#include <memory>
#include <optional>

namespace bench {

inline constexpr std::uint32_t block_bytes = 4096;

/// What went to a device.
struct device_counts {
    std::atomic<std::uint64_t> reads{0}, bytes_read{0}, writes{0}, bytes_written{0}, syncs{0};

    void reset() noexcept { reads = bytes_read = writes = bytes_written = syncs = 0; }
};

/// One transfer, to be done again by another hand.
struct traced {
    bool           is_write = false;
    ashlar::extent blocks{};
};

/// What a device does besides its work.
struct device_watch {
    device_counts       counts{};
    std::vector<traced> trace{};  ///< Of one thread; only while `tracing`.
    bool                tracing = false;
    ashlar::extent      leaves_out{};      ///< Writes to it are not done.
    bool                no_syncs = false;  ///< Syncs are not done.

    void see(ashlar::transfer_kind kind, ashlar::extent e) noexcept {
        const bool is_write = kind == ashlar::transfer_kind::write;
        const auto count    = [](std::atomic<std::uint64_t>& of, std::uint64_t by) noexcept {
            of.fetch_add(by, std::memory_order_relaxed);
        };
        if (kind == ashlar::transfer_kind::sync) return count(counts.syncs, 1);
        count(is_write ? counts.writes : counts.reads, 1);
        count(is_write ? counts.bytes_written : counts.bytes_read, e.count.value * block_bytes);
        if (tracing && !ashlar::lies_in(e, leaves_out)) trace.push_back({is_write, e});
    }
};

/// A queue, watched.
class watched_queue {
  public:
    watched_queue(ashlar::io_uring_queue queue, device_watch& watch) noexcept
        : queue_{std::move(queue)}, watch_{&watch} {}

    [[nodiscard]] std::size_t depth() const noexcept { return queue_.depth(); }
    [[nodiscard]] std::size_t in_flight() const noexcept { return queue_.in_flight(); }

    void submit(ashlar::transfer& t) noexcept {
        watch_->see(t.kind, t.blocks);
        queue_.submit(t);
    }
    [[nodiscard]] ashlar::result<std::size_t> complete(std::span<ashlar::transfer*> finished,
                                                       std::size_t                  at_least) noexcept {
        return queue_.complete(finished, at_least);
    }

  private:
    ashlar::io_uring_queue queue_;
    device_watch*          watch_;
};

/// The first blocks of a file, watched. The rest of the file is the raw copy's.
class watched_device {
  public:
    using queue = watched_queue;

    watched_device(ashlar::io_uring_device file, ashlar::block_count blocks, device_watch& watch) noexcept
        : file_{std::move(file)}, blocks_{blocks}, watch_{&watch} {}

    [[nodiscard]] ashlar::device_geometry geometry() const noexcept {
        auto geometry   = file_.geometry();
        geometry.blocks = blocks_;
        return geometry;
    }
    [[nodiscard]] ashlar::result<> read(ashlar::extent e, std::span<std::byte> in) noexcept {
        watch_->see(ashlar::transfer_kind::read, e);
        return file_.read(e, in);
    }
    [[nodiscard]] ashlar::result<> write(ashlar::extent e, std::span<const std::byte> out) noexcept {
        watch_->see(ashlar::transfer_kind::write, e);
        if (ashlar::lies_in(e, watch_->leaves_out)) return ashlar::success();
        return file_.write(e, out);
    }
    [[nodiscard]] ashlar::result<> sync() noexcept {
        watch_->see(ashlar::transfer_kind::sync, {});
        if (watch_->no_syncs) return ashlar::success();
        return file_.sync();
    }
    [[nodiscard]] ashlar::result<>      trim(ashlar::extent e) noexcept { return file_.trim(e); }
    [[nodiscard]] ashlar::result<queue> open_queue(ashlar::queue_options options) noexcept {
        BOOST_OUTCOME_TRY(auto opened, file_.open_queue(options));
        return watched_queue{std::move(opened), *watch_};
    }

  private:
    ashlar::io_uring_device file_;
    ashlar::block_count     blocks_;
    device_watch*           watch_;
};
static_assert(ashlar::QueuedDevice<watched_device>);

template <ashlar::IoThrottle Throttle>
struct subject_blueprint : ashlar::blueprint {
    using device    = watched_device;
    using journal   = ashlar::ring_journal;
    using threading = ashlar::multi_threaded;
    using defrag    = ashlar::best_gain;
    using throttle  = Throttle;
    using clock     = ashlar::steady_clock;
};

template <ashlar::IoThrottle Throttle>
using subject_store = ashlar::store<subject_blueprint<Throttle>>;

inline constexpr std::uint64_t mebi = 1024 * 1024;
inline constexpr std::uint64_t gibi = 1024 * mebi;

/// Sizes in bytes. As much is free as lies in pieces: what a move frees lies in pieces too until its neighbours have
/// moved.
struct subject_sizes {
    std::uint64_t foreground = gibi / 2;      ///< Of the object that nothing moves.
    std::uint64_t fragmented = gibi * 7 / 2;  ///< Of all objects in pieces.
    std::uint64_t raw        = gibi;          ///< Behind the volume, where the raw copy writes.

    [[nodiscard]] std::uint64_t volume() const noexcept { return foreground + 2 * fragmented + gibi / 4; }
    [[nodiscard]] std::uint64_t file() const noexcept { return volume() + raw; }
};

template <class T>
T must(ashlar::result<T> answer, const char* what) {
    if (answer.has_error()) give_up(std::string{what} + ": " + ashlar::message(answer.error().code));
    if constexpr (!std::is_void_v<T>) return std::move(answer).value();
}

inline constexpr std::size_t objects_count = 4;  ///< In pieces.

/// A file that holds a subject and the raw copy's part; it is removed at the end.
class subject_file {
  public:
    subject_file(const std::string& directory, subject_sizes sizes)
        : path_{directory + "/defragmented.ash"}, sizes_{sizes} {
        ::unlink(path_.c_str());
        const int file = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_DIRECT, 0644);
        if (file < 0 || ::posix_fallocate(file, 0, static_cast<off_t>(sizes.file())) != 0) {
            ::unlink(path_.c_str());
            give_up("no file of " + std::to_string(sizes.file() / gibi) + " GiB at " + path_);
        }
        write_through(file);
        ::close(file);
    }
    ~subject_file() { ::unlink(path_.c_str()); }
    subject_file(const subject_file&)            = delete;
    subject_file& operator=(const subject_file&) = delete;

    [[nodiscard]] const std::string&   path() const noexcept { return path_; }
    [[nodiscard]] const subject_sizes& sizes() const noexcept { return sizes_; }
    [[nodiscard]] device_watch&        watch() noexcept { return watch_; }

    [[nodiscard]] watched_device device() {
        auto file =
            must(ashlar::io_uring_device::open(path_.c_str(), {.block_bytes = block_bytes}), "cannot open the file");
        if (file.direct() != ashlar::direct_state::in_use) give_up("this file system has no direct transfers");
        return {std::move(file), ashlar::block_count{sizes_.volume() / block_bytes}, watch_};
    }

    /// Copies into the part behind the volume while `disturbed` runs; answers megabytes a second.
    template <class Disturbed>
    double copy_raw(std::vector<byte_run> sources, std::size_t chunk, unsigned depth, Disturbed&& disturbed) {
        raw_copier copier{path_, path_, {std::move(sources), {sizes_.volume(), sizes_.raw}, passed_}, chunk, depth};
        disturbed();
        const auto rate = copier.stop();
        passed_ += copier.copied();
        return rate;
    }
    /// Of an undisturbed copy of what the volume holds.
    double raw_rate(double seconds) {
        return copy_raw({{0, sizes_.foreground + sizes_.fragmented}}, raw_chunk, raw_depth,
                        [&] { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); });
    }

  private:
    /// Blocks that the file system only reserved would be read without the disk, and each first write would be a change
    /// of its own metadata.
    void write_through(int file) const {
        const page_memory memory{raw_chunk};
        random_numbers    random{5};
        for (std::size_t at = 0; at < raw_chunk; at += 8) {
            const auto word = random.next();
            std::memcpy(memory.data() + at, &word, sizeof word);
        }
        for (std::uint64_t at = 0; at < sizes_.file(); at += raw_chunk) {
            if (::pwrite(file, memory.data(), raw_chunk, static_cast<off_t>(at)) != static_cast<ssize_t>(raw_chunk))
                give_up("cannot write " + path_);
        }
        if (::fsync(file) != 0) give_up("cannot sync " + path_);
    }

    std::string   path_;
    subject_sizes sizes_;
    device_watch  watch_{};
    std::uint64_t passed_ = 0;
};

/// What the store is told. The metadata of both kinds of objects fits the cache, as it would in use.
template <ashlar::IoThrottle Throttle>
[[nodiscard]] typename subject_store<Throttle>::options subject_options(typename Throttle::options throttle) {
    typename subject_store<Throttle>::options options;
    options.limits.cache_blocks         = 8192;
    options.throttle                    = throttle;
    options.defrag.threshold_permille   = 0;
    options.defrag.bytes_per_second     = 0;
    options.defrag.cycle_blocks_max     = {};
    options.defrag.compact_free_extents = false;
    options.defrag.window               = {256};  // of 1 MiB: longer extents are read no faster
    options.defrag.chunk_bytes          = 512 * 1024;
    options.defrag.priority             = ashlar::defrag_intensity::unpaced;
    return options;
}

/// The ids of a subject's objects.
struct subject_objects {
    ashlar::object_id                            foreground{};
    std::array<ashlar::object_id, objects_count> fragmented{};
    std::vector<byte_run> pieces{};  ///< Of the fragmented ones, each in its order, as they were.
};

/// Where the fragmented objects lie: what moves will read.
template <class Store>
[[nodiscard]] std::vector<byte_run> pieces_of(Store& store, const subject_objects& objects) {
    std::vector<byte_run> runs;
    for (const auto id : objects.fragmented) {
        for (auto at = must(store.next_extent(id, {}), "map"); at;) {
            runs.push_back({at->physical.first.value * block_bytes, at->physical.count.value * block_bytes});
            at = must(store.next_extent(id, at->logical + at->physical.count), "map");
        }
    }
    return runs;
}

/// Formats the volume and fills it: the foreground object in one go, the others in turns, in pieces of 4 to 124 KiB,
/// 64 KiB in the mean.
inline subject_objects make_subject(subject_file& on) {
    using plain = subject_store<ashlar::no_throttle>;
    auto device = on.device();
    must(plain::format(device, {.volume = {std::byte{7}}, .overwrite = true}), "format");
    auto store = must(plain::open(std::move(device), subject_options<ashlar::no_throttle>({})), "open");

    const page_memory memory{raw_chunk};
    random_numbers    random{11};
    for (std::size_t at = 0; at < raw_chunk; at += 8) {
        const auto word = random.next();
        std::memcpy(memory.data() + at, &word, sizeof word);
    }
    const auto bytes = [&](std::size_t count) noexcept {
        const auto stamp = random.next();  // no two chunks are alike
        std::memcpy(memory.data(), &stamp, sizeof stamp);
        return std::span<const std::byte>{memory.data(), count};
    };
    subject_objects made;
    made.foreground = must(store.create(), "create");
    for (std::uint64_t at = 0; at < on.sizes().foreground; at += raw_chunk)
        must(store.write(made.foreground, at, bytes(raw_chunk)), "write");
    for (auto& id : made.fragmented) id = must(store.create(), "create");
    for (std::uint64_t written = 0; written < on.sizes().fragmented;) {
        for (const auto id : made.fragmented) {
            const auto piece = (1 + random.below(31)) * block_bytes;
            must(store.append(id, bytes(piece)), "append");
            written += piece;
        }
    }
    made.pieces = pieces_of(store, made);
    must(store.close(), "close");
    return made;
}

/// 4 KiB of the foreground object, from anywhere. The store's throttle hears how long it took.
template <class Store>
class foreground_reader {
  public:
    foreground_reader(Store& store, ashlar::object_id id, std::uint64_t bytes)
        : store_{store}, id_{id}, blocks_{bytes / block_bytes}, memory_{block_bytes} {}

    bool operator()() {
        const auto read = store_.read(id_, random_.below(blocks_) * block_bytes, {memory_.data(), block_bytes});
        if (read.has_error()) give_up(std::string{"foreground: "} + ashlar::message(read.error().code));
        return true;
    }

    /// Brings the metadata of the object into memory.
    void warm() {
        for (std::uint64_t at = 0; at < blocks_; at += 256)
            must(store_.read(id_, at * block_bytes, std::span{memory_.data(), block_bytes}), "read");
    }

  private:
    Store&            store_;
    ashlar::object_id id_;
    std::uint64_t     blocks_;
    page_memory       memory_;
    random_numbers    random_{17};
};

/// Extents of all fragmented objects.
template <class Store>
[[nodiscard]] std::uint64_t extents_of(Store& store, const subject_objects& objects) {
    std::uint64_t sum = 0;
    for (const auto id : objects.fragmented) sum += must(store.info(id), "info").extents;
    return sum;
}

}  // namespace bench
