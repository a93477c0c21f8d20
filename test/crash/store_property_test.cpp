// Sequences of operations that rapidcheck makes up and, where one fails, shrinks: cuts and reopens among them.

#include "../store/store_fixture.hpp"

#include <ashlar/testing/power_cut_device.hpp>

#include <rapidcheck.h>

namespace ashlar::test {
namespace store_property_test {

enum class verb : int { write, append, truncate, punch, create, erase, sync, checkpoint, reopen, cut };

struct operation {
    verb          what{};
    std::uint32_t object = 0;  ///< Counted among those that exist.
    std::uint32_t a      = 0;
    std::uint32_t b      = 0;
};

std::ostream& operator<<(std::ostream& out, const operation& o) {
    static const char* const names[] = {"write", "append", "truncate",   "punch",  "create",
                                        "erase", "sync",   "checkpoint", "reopen", "cut"};
    return out << names[static_cast<int>(o.what)] << '(' << o.object << ", " << o.a << ", " << o.b << ')';
}

rc::Gen<operation> any_operation() {
    const auto what = rc::gen::weightedElement<verb>({{8, verb::write},
                                                      {5, verb::append},
                                                      {3, verb::truncate},
                                                      {3, verb::punch},
                                                      {3, verb::create},
                                                      {2, verb::erase},
                                                      {4, verb::sync},
                                                      {1, verb::checkpoint},
                                                      {1, verb::reopen},
                                                      {2, verb::cut}});
    return rc::gen::build<operation>(rc::gen::set(&operation::what, what),
                                     rc::gen::set(&operation::object, rc::gen::inRange(0U, 8U)),
                                     rc::gen::set(&operation::a, rc::gen::inRange(0U, 9000U)),
                                     rc::gen::set(&operation::b, rc::gen::inRange(1U, 3000U)));
}

using cut_memory  = power_cut_device<memory_device>;
using checked_cut = order_checker<cut_memory>;

/// A store, its device, and every state that a cut may show: the last that was promised and what came after it.
class rig {
  public:
    rig() : memory_{make_memory(shape_)} {
        format_on(memory_, shape_);
        device_.emplace(memory_);
        checked_.emplace(*device_);
        open();
        model_[store_.root().value] = {};
        promise();
    }

    ~rig() { static_cast<void>(store_.abandon()); }

    void run(const operation& o) {
        auto object = model_.begin();
        std::advance(object, static_cast<long>(o.object % model_.size()));
        const object_id id{object->first};
        auto&           bytes = object->second;
        switch (o.what) {
            case verb::write:
            case verb::append: {
                const auto text = pattern(o.b, o.a + 1);
                const auto at   = o.what == verb::append ? bytes.size() : o.a;
                if (o.what == verb::append ? store_.append(id, text).has_value()
                                           : store_.write(id, at, text).has_value())
                    model_write(bytes, at, text);
                break;
            }
            case verb::truncate:
                if (store_.truncate(id, o.a)) bytes.resize(o.a);
                break;
            case verb::punch:
                if (store_.punch(id, o.a, o.b)) model_punch(bytes, o.a, o.b);
                break;
            case verb::create:
                if (const auto made = store_.create()) model_[made.value().value] = {};
                break;
            case verb::erase:
                if (id != store_.root() && store_.erase(id)) model_.erase(object);
                break;
            case verb::sync: done(store_.sync()); return promise();
            case verb::checkpoint: done(store_.checkpoint()); return promise();
            case verb::reopen:
                done(store_.close());
                open();
                return promise();
            case verb::cut: return cut(o);
        }
        states_.push_back(model_);
    }

    void check() {
        RC_ASSERT(difference(store_, model_) == "");
        RC_ASSERT(findings_of(store_) == "");
        RC_ASSERT(checked_->violations().empty());
    }

  private:
    static void done(const result<>& answer) { RC_ASSERT(said(answer) == "no error"); }

    void promise() { states_ = {model_}; }

    void open() {
        auto opened = test_store::open(any_device{*checked_}, with(small_limits()));
        RC_ASSERT(said(opened) == "no error");
        store_ = std::move(opened).value();
    }

    void cut(const operation& o) {
        static_cast<void>(store_.abandon());
        device_->restart({static_cast<unsynced>(o.a % 8), o.b % 7, o.b});
        checked_->restarted();
        open();
        for (const auto& state : states_) {
            if (difference(store_, state) != "") continue;
            model_ = state;
            check();
            return promise();
        }
        RC_FAIL("the cut shows a state that never was, or lost one that was promised");
    }

    volume_shape               shape_{};
    memory_device              memory_;
    std::optional<cut_memory>  device_;
    std::optional<checked_cut> checked_;
    test_store                 store_;
    model_state                model_;
    std::vector<model_state>   states_;
};

TEST(StoreProperty, C7AnySequenceOfOperationsCutsAndReopensKeepsItsPromises) {
    auto chosen       = rc::detail::configuration().testParams;
    chosen.maxSuccess = static_cast<int>(scaled(1500));
    chosen.maxSize    = 60;
    const auto answer = rc::detail::checkTestable(
        [] {
            rig whole;
            for (const auto& one : *rc::gen::container<std::vector<operation>>(any_operation())) whole.run(one);
            whole.check();
        },
        rc::detail::TestMetadata{}, chosen);
    std::ostringstream text;
    rc::detail::printResultMessage(answer, text);
    ASSERT_TRUE(answer.template is<rc::detail::SuccessResult>()) << text.str();
    EXPECT_EQ(answer.template get<rc::detail::SuccessResult>().numSuccess, chosen.maxSuccess);
}

}  // namespace store_property_test
}  // namespace ashlar::test
