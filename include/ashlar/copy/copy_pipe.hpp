#pragma once
/// The objects of a volume that is copied, batch by batch: while one is looked for and read the one before is written.

#include <ashlar/copy/copy_walk.hpp>
#include <ashlar/copy/region_pipe.hpp>
#include <ashlar/volume/region_watch.hpp>

namespace ashlar::inline v0 {

/// Two batches and the way through the source.
template <Blueprint From, Blueprint To>
class copy_pipe {
  public:
    using outcome = typename copy_target<From, To>::outcome;

    explicit copy_pipe(const volume_copy_options& options) noexcept : walk_{options} {}

    /// Takes its memory, a half of `bytes` each.
    void take(arena& from, std::size_t bytes, block_size size) noexcept {
        const auto half = static_cast<std::size_t>(bytes_of(whole_blocks(bytes / 2, size), size));
        for (auto& batch : batches_) batch.take(from, half, metadata_cache::io_alignment(size));
    }
    /// Memory that nothing is in between two calls of `run`.
    [[nodiscard]] std::span<std::byte> scratch() const noexcept { return batches_[0].memory_left(); }

    /// The same for transfers of regions.
    [[nodiscard]] typename region_pipe<From, To>::lanes lanes(block_size size) noexcept {
        return {batches_[0].lanes(size), batches_[1].lanes(size)};
    }

    [[nodiscard]] copy_walk<From, To>&       walk() noexcept { return walk_; }
    [[nodiscard]] const copy_walk<From, To>& walk() const noexcept { return walk_; }

    /// Copies until the budget refuses, the pass is over or something fails. Afterwards nothing is in flight, and what
    /// was not written is read again. `done` hears what became of each batch.
    template <class Budget, class Done>
    result<> run(copy_source<From>& source, copy_target<From, To>& target, Budget& budget, progress& said,
                 Done&& done) noexcept {
        result<> answer = success();
        for (std::size_t turn = 0; answer.has_value(); turn ^= 1U) {
            auto& reading = batches_[turn];
            auto& writing = batches_[turn ^ 1U];
            // Looking for what to read reads metadata, one block after the other: the disk writes meanwhile.
            answer = target.begin_writes(writing);
            if (answer.has_value() && said.reasons.none()) answer = walk_.fill(reading, source, target, budget, said);
            if (answer.has_value()) answer = source.begin_reads(reading);
            if (answer.has_value()) answer = write(writing, source, target, budget, done);
            const auto read = source.await_reads();
            if (answer.has_value()) answer = read;
            if (answer.has_error() || reading.empty()) break;
        }
        for (auto& batch : batches_) drop(batch, target, budget);
        return answer;
    }

  private:
    template <class Budget, class Done>
    static result<> write(copy_batch& batch, copy_source<From>& source, copy_target<From, To>& target, Budget& budget,
                          Done& done) noexcept {
        BOOST_OUTCOME_TRY(const auto sum, target.run(batch, source));
        done(sum);
        give_back(batch, budget);
        return success();
    }
    /// After an error: the walk goes back to the first object that is not done.
    template <class Budget>
    void drop(copy_batch& batch, copy_target<From, To>& target, Budget& budget) noexcept {
        target.give_up(batch);
        if (!batch.empty()) walk_.go_back(batch.objects().front().record);
        give_back(batch, budget);
    }
    template <class Budget>
    static void give_back(copy_batch& batch, Budget& budget) noexcept {
        for (const auto& one : batch.acts()) budget.give_back(one.granted);
        batch.clear();
    }

    copy_batch          batches_[2]{};
    copy_walk<From, To> walk_;
};

/// The watch of a source that is written, for as long as this lives.
template <class Volume>
class source_watch {
  public:
    source_watch() noexcept = default;
    source_watch(source_watch&& other) noexcept
        : volume_{std::exchange(other.volume_, nullptr)}, watch_{std::exchange(other.watch_, nullptr)} {}
    source_watch& operator=(source_watch&&)      = delete;
    source_watch(const source_watch&)            = delete;
    source_watch& operator=(const source_watch&) = delete;
    ~source_watch() {
        if (volume_ == nullptr) return;
        const entered guard{*volume_};
        volume_->region_traffic.watch = nullptr;
    }

    static constexpr std::size_t words = 32 * 1024 / sizeof(bitmap_word);

    /// In memory that stays where it is. Error: busy where another copy is made of the volume.
    result<> begin(Volume& volume, arena& from) noexcept {
        const auto    memory = from.take<bitmap_word>(words);
        const auto    place  = from.take<region_watch>(1);
        const entered guard{volume};
        if (volume.region_traffic.watch != nullptr) return errc::busy;
        place.front()               = region_watch{memory};
        volume.region_traffic.watch = watch_ = &place.front();
        volume_                              = &volume;
        return success();
    }
    static constexpr void count(arena& from) noexcept {
        static_cast<void>(from.take<bitmap_word>(words));
        static_cast<void>(from.take<region_watch>(1));
    }
    [[nodiscard]] region_watch* get() const noexcept { return watch_; }

  private:
    Volume*       volume_ = nullptr;
    region_watch* watch_  = nullptr;
};

}  // namespace ashlar::inline v0
