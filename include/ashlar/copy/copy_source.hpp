#pragma once
/// The volume that is copied: looked at, and read many transfers at a time.

#include <ashlar/channel.hpp>
#include <ashlar/copy/copy_batch.hpp>
#include <ashlar/copy/copy_features.hpp>
#include <ashlar/object/object_import.hpp>
#include <ashlar/regions.hpp>

namespace ashlar::inline v0 {

/// A record as the source has it now.
struct source_record {
    record_seen   name{};
    object_state  object{};  ///< Only where the record is in use.
    feature_bytes kept{};    ///< What features keep in it; nothing where one came or went since the pass began.
};

/// Reads of a source that may be in use. Reads are in flight between `begin_reads` and `await_reads` only.
template <Blueprint B>
class copy_source {
  public:
    using volume_type = typename store<B>::volume_type;

    explicit copy_source(store<B>& of) noexcept : store_{&of} {}

    [[nodiscard]] volume_type&  volume() const noexcept { return store_->volume(); }
    [[nodiscard]] store<B>&     of() const noexcept { return *store_; }
    [[nodiscard]] std::uint64_t records() const noexcept {
        const entered guard{volume()};
        return volume().space.totals().records_high_water;
    }

    [[nodiscard]] std::uint64_t newest_generation() const noexcept {
        const entered guard{volume()};
        return volume().space.totals().generation_counter;
    }

    /// Looks at the features that this pass copies. Error: damaged, where a row of one is.
    result<> begin_pass() noexcept {
        const entered guard{volume()};
        BOOST_OUTCOME_TRY(features_, copied_features::seen_in(volume()));
        features_changed_ = false;
        return success();
    }
    [[nodiscard]] const feature_set& features() const noexcept { return features_; }
    /// Whether one came or went since: then the records are looked at again in the next pass.
    [[nodiscard]] bool features_changed() noexcept {
        const entered guard{volume()};
        features_changed_ = features_changed_ || !copied_features::are_as(volume(), features_);
        return features_changed_;
    }

    /// Errors: those of reading metadata.
    [[nodiscard]] result<source_record> look(std::uint64_t record) noexcept {
        auto&         from = volume();
        const entered guard{from};
        return with_loads(from, [&]() noexcept -> result<source_record> {
            source_record seen;
            BOOST_OUTCOME_TRY(seen.name, see_record(from, record));
            if (!seen.name.in_use) return seen;
            BOOST_OUTCOME_TRY(seen.object, load_record(from, no_transaction, record));
            if (features_changed_ || !copied_features::are_as(from, features_)) {
                features_changed_ = true;
            } else {
                BOOST_OUTCOME_TRY(seen.kept, feature_bytes::read(from, record, features_));
            }
            return seen;
        });
    }

    /// The newest generation of a mapping that can be lost no more, with all before. `known` is answered where the
    /// source has ended its writing. Errors: those of a sync.
    [[nodiscard]] result<std::uint64_t> make_durable(std::uint64_t known) const noexcept {
        std::uint64_t joined = 0;
        {
            const entered guard{volume()};
            joined = volume().space.totals().generation_counter;
            if (volume().failure.code != errc::none) return known;
            if (volume().read_only) return joined;
        }
        BOOST_OUTCOME_TRY(store_->sync());
        return joined;
    }

    /// Begins to read what a batch lists, in the order of the device. Errors: those of opening a channel; the queue's.
    result<> begin_reads(copy_batch& batch) noexcept {
        const auto reads = batch.reads();
        if (reads.empty()) return success();
        if (!channel_) {
            auto opened = channel<B>::open(*store_, {.depth = copy_batch::acts_max});
            if (opened.has_error()) return opened.error();
            channel_.emplace(std::move(opened.value()));
        }
        for (copy_act* const one : reads) channel_->submit(one->asked);
        return reap(0);
    }
    /// Waits for them. What became of each read is in it. Error: the queue broke; nothing is in flight then either.
    result<> await_reads() noexcept {
        while (channel_ && channel_->in_flight() != 0) { BOOST_OUTCOME_TRY(reap(1)); }
        return success();
    }

  private:
    result<> reap(std::size_t at_least) noexcept {
        std::array<request*, copy_batch::acts_max> finished;
        const auto                                 count = channel_->complete(finished, at_least);
        if (count.has_value()) return success();
        channel_.reset();
        return count.error();
    }

    store<B>*                 store_;
    std::optional<channel<B>> channel_{};
    feature_set               features_{};
    bool                      features_changed_ = false;
};

/// Keeps everybody from changing a volume while it lives; who tries waits. With one thread nobody could. Reads go on.
template <class Volume>
class [[nodiscard]] still_volume {
  public:
    explicit still_volume(Volume& volume) noexcept : volume_{volume} {
        if constexpr (Volume::threading_type::concurrent) {
            const entered guard{volume};
            await_quiet(volume);
            volume.exclusive = true;
            hold_regions(true);
        }
    }
    ~still_volume() {
        if constexpr (Volume::threading_type::concurrent) {
            const entered guard{volume_};
            volume_.exclusive = false;
            hold_regions(false);
            volume_.lock.wake();
        }
    }
    still_volume(const still_volume&)            = delete;
    still_volume& operator=(const still_volume&) = delete;

    /// Waits for the writes to regions that are on their way. Error: busy where a queue of a region broke meanwhile.
    result<> await_writes() noexcept {
        const entered guard{volume_};
        return await_region_changes(volume_);
    }

  private:
    void hold_regions(bool held) noexcept {
        if (volume_.region_traffic.watch != nullptr) volume_.region_traffic.watch->held = held;
    }

    Volume& volume_;
};

}  // namespace ashlar::inline v0
