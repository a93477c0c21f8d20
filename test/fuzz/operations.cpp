/// An image and a script of operations. On an image that nobody changed they do what a map of byte strings does; on any
/// other they end.

#include "image_input.hpp"

#include <algorithm>

namespace ashlar::fuzz {
namespace {

constexpr unsigned steps_max = 96;

/// Drives a store by the bytes of a script, and a model beside it where the image is known.
class script {
  public:
    script(image_input& on, live_store live) : image_{on.on()}, reader_{on.rest()}, live_{std::move(live)} {
        modelled_ = !on.changed();
        if (modelled_) state_ = on.base()->objects;
        list_objects();
    }

    void run() {
        for (unsigned i = 0; i < steps_max && !reader_.ended() && alive_; ++i) step();
        if (!alive_) return;
        if (live_.in_transaction()) end_transaction(false);
        finish();
    }

  private:
    void list_objects() {
        object_id last{};
        ids_.assign(1, live_.root());
        for (unsigned i = 0; i < 64; ++i) {
            const auto next = live_.next_object(last);
            if (!next || !next.value()) return;
            last = *next.value();
            if (last != live_.root()) ids_.push_back(last);
        }
    }

    void step() {
        const auto code   = reader_.u8();
        const auto id     = ids_[reader_.u8() % ids_.size()];
        const auto offset = offset_of(reader_.u16());
        const auto length = std::uint64_t{reader_.u16()};
        if (live_.in_transaction()) return step_in_transaction(code, id, offset, length);
        switch (code % 25) {
            case 0:
            case 1:
            case 2: return write(id, offset, data(code, length));
            case 3: return append(id, data(code, length));
            case 4: return truncate(id, offset);
            case 5: return punch(id, offset, length);
            case 6: return create();
            case 7: return erase(id);
            case 8: return check(live_.reserve(id, offset, length % 6000));
            case 9: return pin(id, offset, length, true);
            case 10: return pin(id, offset, length, false);
            case 11: return check(live_.sync());
            case 12: return check(live_.checkpoint());
            case 13: return check(live_.maintain());
            case 14: return check(live_.trim());
            case 15: return check(live_.fragmentation());
            case 16: return check(live_.plan());
            case 17: return check(live_.free_runs());
            case 18: return read(id, offset, length);
            case 19: return reopen(true);
            case 20: return reopen(false);
            case 21: return check(live_.next_extent(id, {offset}));
            case 22: return check(live_.begin());
            case 23: return verify();
            default: return repair();
        }
    }

    /// Small ones mostly, and where no model has to follow, any.
    [[nodiscard]] std::uint64_t offset_of(std::uint16_t code) const {
        const std::uint64_t small = code & 0x3FFFU;
        if (modelled_ || (code >> 14U) < 2) return small;
        return (code >> 14U) == 2 ? small << 40U : ~std::uint64_t{0} - small;
    }
    [[nodiscard]] static byte_vector data(unsigned seed, std::uint64_t length) {
        byte_vector made(static_cast<std::size_t>(length % 7000));
        for (std::size_t i = 0; i < made.size(); ++i) made[i] = static_cast<std::byte>(seed + i * 7 + (i >> 8U) + 1);
        return made;
    }

    /// On an image that nobody changed only the limits that are promised may refuse.
    template <class T>
    void check(const result<T>& answer) {
        if (!modelled_ || answer) return;
        switch (answer.error().code) {
            case errc::no_space:
            case errc::reserve_only:
            case errc::no_contiguous_space:
            case errc::journal_full:
            case errc::pinned:
            case errc::busy:
            case errc::too_large:
            case errc::too_many_extents:
            case errc::not_found:
            case errc::invalid_argument: return;
            default: expect(false, "a whole volume refuses only what it says that it refuses");
        }
    }

    void write(object_id id, std::uint64_t offset, bytes_in bytes) {
        const auto done = live_.write(id, offset, bytes);
        check(done);
        if (done) model_write(state_, id, offset, bytes);
    }
    void append(object_id id, bytes_in bytes) {
        const auto at = live_.append(id, bytes);
        check(at);
        if (at) model_write(state_, id, at.value(), bytes);
    }
    void truncate(object_id id, std::uint64_t size) {
        const auto done = live_.truncate(id, size);
        check(done);
        if (done && modelled_) state_[id.value].resize(static_cast<std::size_t>(size));
    }
    void punch(object_id id, std::uint64_t offset, std::uint64_t length) {
        const auto done = live_.punch(id, offset, length);
        check(done);
        if (done) model_punch(state_, id, offset, length);
    }
    void create() {
        const auto made = live_.create();
        check(made);
        if (!made) return;
        if (modelled_) expect(state_.emplace(made.value().value, byte_vector{}).second, "an id is never used twice");
        if (ids_.size() < 64) ids_.push_back(made.value());
    }
    void erase(object_id id) {
        const auto done = live_.erase(id);
        check(done);
        if (!done) return;
        state_.erase(id.value);
        forget(id);
    }
    void forget(object_id id) {
        const auto at = std::find(ids_.begin() + 1, ids_.end(), id);
        if (at != ids_.end()) ids_.erase(at);
    }
    void pin(object_id id, std::uint64_t offset, std::uint64_t length, bool pinned) {
        check(live_.pin(id, offset, length, pinned));
    }
    void read(object_id id, std::uint64_t offset, std::uint64_t length) {
        byte_vector into(static_cast<std::size_t>(length));
        const auto  got = live_.read(id, offset, into);
        check(got);
        if (!got) return;
        expect(got.value() <= into.size(), "a read fills no more than it was given");
        if (!modelled_) return;
        const auto& held = state_[id.value];
        const auto  from = std::min<std::uint64_t>(offset, held.size());
        const auto  want = std::min<std::uint64_t>(length, held.size() - from);
        expect(got.value() == want, "a read ends where its object ends");
        expect(std::equal(into.begin(), into.begin() + static_cast<std::ptrdiff_t>(want),
                          held.begin() + static_cast<std::ptrdiff_t>(from)),
               "a read gives what was written");
    }

    void step_in_transaction(unsigned code, object_id id, std::uint64_t offset, std::uint64_t length) {
        if (!had_transaction_) before_ = state_, had_transaction_ = true;
        bool done = false;
        switch (code % 8) {
            case 0:
            case 1: {
                const auto bytes = data(code, length);
                done             = note(live_.write_in_transaction(id, offset, bytes));
                if (done) model_write(state_, id, offset, bytes);
                break;
            }
            case 2: {
                done = note(live_.truncate_in_transaction(id, offset));
                if (done && modelled_) state_[id.value].resize(static_cast<std::size_t>(offset));
                break;
            }
            case 3: {
                done = note(live_.punch_in_transaction(id, offset, length));
                if (done) model_punch(state_, id, offset, length);
                break;
            }
            case 4: {
                const auto made = live_.create_in_transaction();
                done            = note(made);
                if (done) state_[made.value().value] = {};
                break;
            }
            case 5: {
                done = note(live_.erase_in_transaction(id));
                if (done) state_.erase(id.value);
                break;
            }
            case 6: return end_transaction(true);
            default: return end_transaction(false);
        }
        if (!done) end_transaction(false);
    }
    template <class T>
    bool note(const result<T>& answer) {
        check(answer);
        return answer.has_value();
    }
    void end_transaction(bool commits) {
        bool held = false;
        if (commits) {
            held = note(live_.commit());
        } else {
            live_.abort();
        }
        if (!held && had_transaction_) state_ = before_;
        had_transaction_ = false;
        list_objects();
    }

    /// Closed in order, or synced and left as a power cut would.
    void reopen(bool closes) {
        if (closes) {
            check(live_.close());
        } else {
            check(live_.sync());
        }
        auto opened = [&] {
            { const auto gone = std::move(live_); }
            return live_store::open(image_, live_store::access::read_write);
        }();
        if (modelled_) expect(opened.has_value(), "a volume opens again");
        alive_ = opened.has_value();
        if (!alive_) return;
        live_ = std::move(opened).value();
        list_objects();
    }

    void verify() {
        const auto findings = live_.verify();
        check(findings);
        if (modelled_) expect(findings.value() == 0, "operations keep a volume whole");
    }

    void repair() {
        const auto done = live_.repair(false);
        check(done);
        if (modelled_) expect(done.value().mended == 0 && done.value().left == 0, "there is nothing to mend");
    }

    void finish() {
        verify();
        if (modelled_) expect(contents_of(live_) == state_, "a store holds what was written");
        reopen(true);
        if (!alive_) return;
        verify();
        if (modelled_) expect(contents_of(live_) == state_, "a store holds what was written, also after a restart");
    }

    void model_write(contents& to, object_id id, std::uint64_t offset, bytes_in bytes) {
        if (!modelled_ || bytes.empty()) return;
        auto&      object = to[id.value];
        const auto end    = static_cast<std::size_t>(offset) + bytes.size();
        if (object.size() < end) object.resize(end);
        std::copy(bytes.begin(), bytes.end(), object.begin() + static_cast<std::ptrdiff_t>(offset));
    }
    void model_punch(contents& to, object_id id, std::uint64_t offset, std::uint64_t length) {
        if (!modelled_) return;
        auto& object = to[id.value];
        for (auto i = offset; i < object.size() && i - offset < length; ++i) object[static_cast<std::size_t>(i)] = {};
    }

    image&                 image_;
    input_reader&          reader_;
    live_store             live_;
    bool                   modelled_        = false;
    bool                   alive_           = true;
    bool                   had_transaction_ = false;
    contents               state_{};
    contents               before_{};
    std::vector<object_id> ids_{};
};

void run(bytes_in input) {
    image_input prepared{input};
    auto        live = live_store::open(prepared.on(), live_store::access::read_write);
    if (!prepared.changed()) expect(live.has_value(), "a volume that nobody changed opens");
    if (live) script{prepared, std::move(live).value()}.run();
}

std::vector<seed_input> seeds() {
    input_writer each;  // every operation, some twice
    for (unsigned code = 0; code < 22; ++code) each.u8(code).u8(code % 3).u16(code * 300).u16(700 + code * 40);
    each.u8(23).u8(0).u16(0).u16(0);
    for (const unsigned code : {22U, 0U, 4U, 1U, 3U, 2U, 6U, 22U, 0U, 5U, 7U, 3U, 11U})
        each.u8(code).u8(2).u16(1000).u16(900);
    auto         made = image_seeds(each.made());
    input_writer crowded;  // until nothing fits any more
    crowded.u8(0).u8(0);
    for (unsigned i = 0; i < 70; ++i) crowded.u8(i % 3 == 2 ? 6 : 3).u8(i).u16(0).u16(6999);
    for (unsigned i = 0; i < 8; ++i) crowded.u8(i % 2 == 0 ? 7 : 13).u8(i + 1).u16(0).u16(0);
    made.push_back({"crowded", crowded.made()});
    return made;
}

}  // namespace

const target operations_target{"operations", run, nullptr, seeds};

}  // namespace ashlar::fuzz
