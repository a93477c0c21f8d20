// What a simulation says of its steps, and what may be left behind a cut.

#include <ashlar/testing/simulated_owner.hpp>

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace ashlar::test {
namespace simulated_words_test {

TEST(SimulatedStep, EveryVerbHasItsWordsAndNamesWhatItIsGiven) {
    std::set<std::string> texts;
    for (auto verb = 0; verb <= static_cast<int>(simulated_verb::reopen); ++verb) {
        const simulated_step step{.verb   = static_cast<simulated_verb>(verb),
                                  .thread = 3,
                                  .slot   = 2,
                                  .owner  = 4,
                                  .a      = 1111,
                                  .b      = 2222,
                                  .seed   = 3333};
        const auto           text = step.text();
        EXPECT_TRUE(texts.insert(text).second) << text;
        EXPECT_EQ(text.rfind("thread 3: ", 0) == 0, !step.is_barrier()) << text;
        EXPECT_EQ(text.find("?"), std::string::npos);
    }
    const auto says = [&](const char* words) {
        return std::any_of(texts.begin(), texts.end(),
                           [&](const auto& text) { return text.find(words) != std::string::npos; });
    };
    for (const char* const words :
         {"writes to object 2 2222 bytes at 1111", "appends to object 2 2222 bytes", "truncates object 2 to 1111",
          "reads object 2 of thread 4", "commits a transaction (3333)", "fails a sync, call 1111 from now",
          "power goes after 1111 more writes", "power goes (3333)"})
        EXPECT_TRUE(says(words)) << words;
    EXPECT_EQ((simulated_step{.verb = static_cast<simulated_verb>(99)}.text()), "?");

    const simulated_step two[] = {{.verb = simulated_verb::sync}, {.verb = simulated_verb::reopen}};
    EXPECT_EQ(text_of(two), "  1. thread 0: syncs\n  2. the store is closed and opened\n");
}

TEST(SimulatedSetup, SaysWhatWasChosen) {
    simulated_setup setup;
    EXPECT_EQ(setup.text().find("maintenance"), std::string::npos);
    EXPECT_NE(setup.text().find("failing writes leave nothing"), std::string::npos);
    setup.background     = true;
    setup.failing_writes = failed_write::wrote_all;
    setup.trimmed        = trim_leaves::zeros;
    EXPECT_NE(setup.text().find("and maintenance"), std::string::npos);
    EXPECT_NE(setup.text().find("trims leave zeros, failing writes leave all"), std::string::npos);
}

// ---- what a cut may leave ------------------------------------------------------------------------------------------

/// An owner whose objects are 10 * its number and up. It ends its operations at the stamps that a test gives.
struct owner_of {
    simulated_owner owner;

    explicit owner_of(std::uint64_t first) : owner{object_id{first}} {}

    void writes(std::uint64_t id, std::uint64_t seed, std::uint64_t began, std::uint64_t ended) {
        owner.begin(began, false);
        auto state = owner.model.state();
        state[id]  = pattern(20, seed);
        owner.model.restore(std::move(state));
        owner.succeed(ended);
    }
};

model_state objects(std::initializer_list<std::pair<std::uint64_t, std::uint64_t>> ids_and_seeds) {
    model_state made;
    for (const auto& [id, seed] : ids_and_seeds) made[id] = seed == 0 ? std::vector<std::byte>{} : pattern(20, seed);
    return made;
}

TEST(SimulatedSurvivors, EachOwnerMayShowAnyVersionFromThePromisedOneOn) {
    owner_of one{10};
    one.writes(10, 1, 1, 2);
    one.writes(10, 2, 3, 4);
    const auto objection = [&](const model_state& found) {
        return simulated_survivors{std::span{&one.owner, 1}, found}.objection();
    };
    EXPECT_EQ(objection(objects({{10, 0}})), "");
    EXPECT_EQ(objection(objects({{10, 1}})), "");
    EXPECT_EQ(objection(objects({{10, 2}})), "");
    EXPECT_EQ(objection(objects({{10, 3}})),
              "the objects of thread 0 show what never was of 3, and version 0 was promised");
    one.owner.promise(3);
    EXPECT_EQ(objection(objects({{10, 0}})), "the objects of thread 0 show version 0 of 3, and version 1 was promised");
    EXPECT_EQ(objection(objects({{10, 1}})), "");
    EXPECT_EQ(objection(objects({{10, 1}, {11, 4}})), "object 11 is there, which nobody made");
    EXPECT_EQ(objection(objects({{10, 1}, {11, 0}})), "object 11 is there, which nobody made") << "nobody was creating";
}

TEST(SimulatedSurvivors, WhereAVersionSurvivedEverythingBeforeItMustHave) {
    owner_of all[2] = {owner_of{10}, owner_of{20}};
    all[0].writes(10, 1, 1, 2);
    all[1].writes(20, 2, 3, 4);  // began when the other had ended
    const simulated_owner both[2] = {all[0].owner, all[1].owner};
    EXPECT_EQ((simulated_survivors{both, objects({{10, 1}, {20, 2}})}.objection()), "");
    EXPECT_EQ((simulated_survivors{both, objects({{10, 1}, {20, 0}})}.objection()), "");
    EXPECT_EQ((simulated_survivors{both, objects({{10, 0}, {20, 2}})}.objection()),
              "the objects of thread 0 show version 0 of 2, and version 1 was older than what thread 1 kept");
}

TEST(SimulatedSurvivors, AnEmptyObjectMayComeFromACreateThatNobodyHeardOf) {
    owner_of one{10};
    one.owner.begin(1, true);
    one.owner.leave_open();
    const std::span<const simulated_owner> owners{&one.owner, 1};
    simulated_survivors                    made{owners, objects({{10, 0}, {12, 0}})};
    EXPECT_EQ(made.objection(), "");
    EXPECT_EQ(made.found(0).count(12), 1U) << "it is the creating owner's";
    EXPECT_EQ((simulated_survivors{owners, objects({{10, 0}})}.objection()), "") << "or it never happened";
    EXPECT_EQ((simulated_survivors{owners, objects({{10, 0}, {12, 0}, {13, 0}})}.objection()),
              "object 13 is there, which nobody made")
        << "one create makes one object";
    EXPECT_EQ((simulated_survivors{owners, objects({{10, 0}, {12, 5}})}.objection()),
              "object 12 is there, which nobody made")
        << "it has bytes";
    EXPECT_EQ((simulated_survivors{owners, objects({{10, 7}, {12, 0}})}.objection()),
              "the objects of thread 0 show what never was of 2, and version 0 was promised");
}

TEST(SimulatedOwner, ExplainsWhatWasThereWhileItWasRead) {
    owner_of one{10};
    one.writes(10, 1, 10, 20);
    one.writes(10, 2, 30, 40);
    const auto first = digest_of(10, pattern(20, 1)), second = digest_of(10, pattern(20, 2));
    EXPECT_TRUE(one.owner.explains(10, first, 21, 25));
    EXPECT_TRUE(one.owner.explains(10, first, 25, 35)) << "the next began meanwhile";
    EXPECT_FALSE(one.owner.explains(10, first, 41, 45)) << "it was over";
    EXPECT_FALSE(one.owner.explains(10, second, 21, 25)) << "it had not begun";
    EXPECT_TRUE(one.owner.explains(10, second, 41, 45));
    EXPECT_TRUE(one.owner.explains(77, simulated_version::absent, 41, 45));
    EXPECT_FALSE(one.owner.explains(77, first, 41, 45));
    one.owner.begin(50, false);
    EXPECT_FALSE(one.owner.explains(10, first, 51, 55)) << "nor is it what is under way";
    EXPECT_FALSE(one.owner.refuse()) << "nobody saw it";
}

}  // namespace simulated_words_test
}  // namespace ashlar::test
