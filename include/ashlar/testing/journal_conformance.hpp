#pragma once
/// Checks that a journal keeps what its concept says, for tests of any framework.

#include <ashlar/concepts/journal.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace ashlar::inline v0 {

namespace journal_check {

/// Any device, with its writes counted and, when told so, refused.
template <BlockDevice Inner>
class watched_device {
  public:
    explicit watched_device(Inner& inner) noexcept : inner_{inner} {}
    [[nodiscard]] device_geometry geometry() const noexcept { return inner_.geometry(); }
    result<>                      read(extent e, std::span<std::byte> in) noexcept { return inner_.read(e, in); }
    result<>                      write(extent e, std::span<const std::byte> out) noexcept {
                             ++writes;
                             if (fails) return error{errc::device_failed, e.first};
        return inner_.write(e, out);
    }
    result<> sync() noexcept { return fails ? result<>{errc::device_failed} : inner_.sync(); }
    result<> trim(extent e) noexcept { return inner_.trim(e); }

    std::uint64_t writes = 0;
    bool          fails  = false;

  private:
    Inner& inner_;
};

/// Stands for the data blocks that batches list; one of them can be lost or unreadable.
struct listed_data {
    std::uint64_t lost       = 0;  ///< This block's bytes never arrived.
    std::uint64_t unreadable = 0;

    result<bool> matches(block_index block, std::uint64_t checksum) noexcept {
        if (block.value == unreadable) return error{errc::device_failed, block};
        return block.value != lost && checksum == block.value * 3;
    }
    result<> repeat(block_index) noexcept { return success(); }
};

struct seen_entry {
    std::uint64_t          number = 0;
    std::uint64_t          target = 0;
    std::uint32_t          offset = 0;
    std::vector<std::byte> bytes;
    bool                   operator==(const seen_entry&) const = default;
};

struct seen_entries {
    std::vector<seen_entry> all;
    result<> operator()(sequence s, block_index target, std::uint32_t offset, std::span<const std::byte> bytes) {
        all.push_back({s.value, target.value, offset, {bytes.begin(), bytes.end()}});
        return success();
    }
};

/// Runs one journal over one device and writes down what it breaks.
template <class J, BlockDevice D>
class inspection {
  public:
    inspection(D& device, const journal_place& place)
        : device_{device}, place_{place}, memory_(J::staging_bytes(device.geometry().size)) {}

    std::vector<std::string> run() {
        starts_empty();
        keeps_what_it_was_given();
        cuts_and_refuses();
        frees_the_ring();
        closes_and_goes_on();
        stops_after_a_failure();
        gives_the_same_bytes();
        return std::move(broken_);
    }

  private:
    using device_type = watched_device<D>;

    void expect(bool kept, const char* promise) {
        if (!kept) broken_.emplace_back(promise);
    }

    J attached() {
        J journal{};
        expect(journal.attach(place_, device_.geometry().size, memory_).has_value(),
               "attach takes the memory that staging_bytes asks for");
        return journal;
    }
    J formatted() {
        log_.clear();
        device_.fails = false;
        J journal     = attached();
        expect(journal.format(device_, {11, 12}).has_value(), "format succeeds on a working device");
        return journal;
    }

    /// One batch with three entries of different lengths and one listed block, 1000 + its number.
    [[nodiscard]] batch_shape shape() const { return {100 + 16 + 300, 3, 1}; }

    bool write(J& journal) {
        const auto number = journal.next().value;
        if (!journal.begin(device_, shape())) return false;
        bool done = journal.data(device_, {1000 + number}, (1000 + number) * 3).has_value();
        for (const std::uint32_t length : {100U, 16U, 300U}) {
            std::vector<std::byte> bytes(length);
            for (std::size_t i = 0; i < length; ++i) bytes[i] = static_cast<std::byte>(number * 31 + i * 7 + length);
            done = done && journal.entry(device_, {number % 7}, length / 4, bytes).has_value();
            log_.push_back({number, number % 7, length / 4, std::move(bytes)});
        }
        if (!done) return false;
        const auto sealed = journal.seal(device_);
        return sealed && sealed.value().value == number;
    }
    bool commit(J& journal) {
        if (!write(journal) || !device_.sync()) return false;
        journal.acknowledge({journal.next().value - 1});
        return true;
    }

    /// Whether replay shows the entries of batches `first` to `last`, all and in order.
    bool shows(J& journal, std::uint64_t first, std::uint64_t last) {
        std::vector<seen_entry> wanted;
        for (const auto& one : log_) {
            if (one.number >= first && one.number <= last) wanted.push_back(one);
        }
        seen_entries seen;
        return journal.replay(device_, seen) && seen.all == wanted;
    }

    void starts_empty() {
        J journal{};
        expect(!journal.attach(place_, device_.geometry().size, std::span{memory_}.first(memory_.size() - 1)),
               "too little memory is refused");
        journal = formatted();
        expect(journal.next() == sequence{1}, "the first batch is number 1");
        expect(journal.room() == journal.capacity() && journal.capacity() == place_.ring.count,
               "an empty ring is all room");
        J           again = attached();
        listed_data data;
        const auto  report = again.recover(device_, data, false);
        expect(report && report.value().was_clean && report.value().last == sequence{0},
               "an empty journal recovers clean");
        expect(report && report.value().totals.free_blocks == 11 && report.value().totals.modified == 12,
               "the anchor keeps the totals");
        expect(shows(again, 1, 0), "an empty journal replays nothing");
    }

    void keeps_what_it_was_given() {
        J journal = formatted();
        for (std::uint64_t i = 1; i <= 3; ++i) {
            const auto before = journal.room();
            expect(commit(journal), "a batch that has room is written and gets the next number");
            expect(before - journal.room() <= journal.blocks_needed(shape()),
                   "a batch takes no more than blocks_needed");
            expect(journal.acknowledged() == sequence{i}, "what was acknowledged is acknowledged");
            expect(journal.confirmed() < sequence{i}, "a batch does not confirm itself");
        }
        listed_data data;
        J           reader = attached();
        const auto  writes = device_.writes;
        const auto  report = reader.recover(device_, data, true);
        expect(report && report.value().last == sequence{3} && !report.value().was_clean,
               "recovery finds every acknowledged batch");
        expect(shows(reader, 1, 3), "replay shows every entry, in order, as it was");
        expect(!reader.begin(device_, shape()), "a journal that is read only begins no batch");
        expect(device_.writes == writes, "a recovery that is read only writes nothing");

        J writer = attached();
        expect(writer.recover(device_, data, false).has_value() && shows(writer, 1, 3),
               "recovery for writing finds the same");
        expect(writer.epoch() > journal.epoch(), "recovery begins a new epoch");
        expect(writer.confirmed() == sequence{3} && writer.next() == sequence{4},
               "what recovery accepted is confirmed");
        expect(commit(writer), "life goes on after recovery");
        J last = attached();
        expect(last.recover(device_, data, false).has_value() && shows(last, 1, 4), "the old and the new are found");
    }

    void cuts_and_refuses() {
        J journal = formatted();
        expect(commit(journal) && commit(journal), "batches are written");
        listed_data data;
        data.unreadable = 1002;
        J broken        = attached();
        expect(!broken.recover(device_, data, true), "data that cannot be read is an error, not a cut");
        data              = {};
        data.lost         = 1002;
        J          cut    = attached();
        const auto report = cut.recover(device_, data, false);
        expect(report && report.value().last == sequence{1} && report.value().batches_cut == 1,
               "a batch without its data is cut");
        expect(shows(cut, 1, 1), "replay ends before the cut");
        data    = {};
        J after = attached();
        expect(after.recover(device_, data, false).has_value() && shows(after, 1, 1), "what was cut never comes back");

        J open = formatted();
        expect(commit(open), "a batch is written");
        expect(open.begin(device_, shape()).has_value() && open.data(device_, {1002}, 3006).has_value(),
               "a batch begins");
        J found = attached();
        expect(found.recover(device_, data, false).has_value() && shows(found, 1, 1),
               "a batch that was not sealed never happened");
    }

    void frees_the_ring() {
        J             journal = formatted();
        listed_data   data;
        std::uint64_t anchors = 0;
        while (anchors < 6) {
            if (journal.blocks_needed(shape()) <= journal.room()) {
                expect(commit(journal), "a batch that has room is written");
            } else {
                const sequence asked{journal.next().value - (anchors % 2)};
                expect(journal.anchor(device_, asked, {anchors, 0}).has_value(), "an anchor is written");
                expect(journal.tail() <= asked, "the tail is never newer than asked");
                expect(journal.confirmed() == journal.acknowledged(), "an anchor confirms all that is acknowledged");
                J reader = attached();
                expect(reader.recover(device_, data, true).has_value() && reader.tail() == journal.tail() &&
                           shows(reader, journal.tail().value, journal.next().value - 1),
                       "replay begins at the tail");
                ++anchors;
            }
            if (!broken_.empty()) return;
        }
        expect(journal.anchor(device_, journal.next(), {}).has_value() && journal.room() == journal.capacity(),
               "an anchor at the end empties the ring");
    }

    /// What a close says holds until a batch is begun, and no longer.
    void closes_and_goes_on() {
        if constexpr (ClosesClean<J, device_type>) {
            J journal = formatted();
            expect(commit(journal) && journal.close(device_, {7, 8}) && journal.tail() == journal.next(),
                   "a close empties the ring");
            listed_data data;
            J           reader = attached();
            const auto  closed = reader.recover(device_, data, true);
            expect(closed && closed.value().was_clean && closed.value().totals.free_blocks == 7 && shows(reader, 1, 0),
                   "what was closed recovers clean");
            reader = attached();
            expect(commit(journal) && reader.recover(device_, data, false) && shows(reader, 2, 2),
                   "work goes on behind a close, and is found");
        }
    }

    void stops_after_a_failure() {
        J journal = formatted();
        expect(commit(journal), "a batch is written");
        device_.fails = true;
        expect(!write(journal), "a failed write is an error");
        device_.fails = false;
        log_.resize(3);
        const auto writes = device_.writes;
        expect(!journal.begin(device_, shape()) && !journal.anchor(device_, journal.next(), {}),
               "after a failed write nothing is begun or anchored");
        expect(device_.writes == writes, "after a failed write nothing is written");
        J           again = attached();
        listed_data data;
        expect(again.recover(device_, data, false).has_value() && shows(again, 1, 1),
               "recovery after a failed write finds what was acknowledged");
    }

    std::vector<std::byte> some_history() {
        J journal = formatted();
        for (int i = 0; i < 3; ++i) expect(commit(journal), "a batch is written");
        expect(journal.anchor(device_, {2}, {5, 6}).has_value() && commit(journal),
               "an anchor and a batch are written");
        const auto             geometry = device_.geometry();
        std::vector<std::byte> image(static_cast<std::size_t>(bytes_of(place_.ring.count, geometry.size)));
        expect(device_.read(place_.ring, image).has_value(), "the ring can be read");
        std::vector<std::byte> frame(place_.frame_bytes);
        for (const auto first : {place_.anchor_first, place_.anchor_second}) {
            expect(device_.read({first, blocks_for(frame.size(), geometry.size)}, frame).has_value(),
                   "the anchors can be read");
            image.insert(image.end(), frame.begin(), frame.end());
        }
        return image;
    }
    void gives_the_same_bytes() { expect(some_history() == some_history(), "the same operations give the same bytes"); }

    device_type              device_;
    journal_place            place_;
    std::vector<std::byte>   memory_;
    std::vector<seen_entry>  log_;
    std::vector<std::string> broken_;
};

}  // namespace journal_check

/// Formats and uses the place again and again; what is there is lost. Answers the promises that were not kept; none is
/// right. Precondition: the ring has room for eight batches of 700 bytes.
template <class J, BlockDevice D>
    requires JournalOn<J, D> &&(J::durable)
        [[nodiscard]] std::vector<std::string> journal_conformance(D& device, const journal_place& place) {
        return journal_check::inspection<J, D>{device, place}.run();
    }

}  // namespace ashlar::inline v0
