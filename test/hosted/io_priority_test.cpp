#include <ashlar/hosted/io_priority.hpp>

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#if defined(__linux__)
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#endif

using namespace ashlar;

namespace io_priority_test {

TEST(IoPriority, FindsTheSchedulerInUse) {
    EXPECT_EQ(parse_scheduler("none [mq-deadline] kyber bfq\n").name(), "mq-deadline");
    EXPECT_EQ(parse_scheduler("[none] mq-deadline\n").name(), "none");
    EXPECT_EQ(parse_scheduler("[none]").name(), "none");
}

TEST(IoPriority, TakesNoOtherTextForAScheduler) {
    for (const std::string_view text :
         {"", "none", "][", "[", "]", "[a-name-that-is-longer-than-any-there-is-in-linux]"}) {
        EXPECT_EQ(parse_scheduler(text).name(), "") << text;
    }
}

TEST(IoPriority, KnowsWhichSchedulersLookAtIt) {
    EXPECT_TRUE(honours_io_priority("bfq"));
    EXPECT_TRUE(honours_io_priority("mq-deadline"));
    EXPECT_FALSE(honours_io_priority("kyber"));
    EXPECT_FALSE(honours_io_priority("none"));
    EXPECT_FALSE(honours_io_priority(""));
}

TEST(IoPriority, KnowsNoSchedulerOfWhatIsNotThere) { EXPECT_EQ(io_scheduler_of("/nowhere/at/all").name(), ""); }

#if defined(__linux__)

int current_priority() { return static_cast<int>(::syscall(SYS_ioprio_get, 1, 0)); }

TEST(IoPriority, HoldsForAScopeAndIsThenAsBefore) {
    const auto before = current_priority();
    {
        const scoped_io_priority idle{io_class::idle};
        ASSERT_TRUE(idle.set());
        EXPECT_EQ(current_priority(), 3 << 13);
        {
            const scoped_io_priority last{io_class::best_effort, 6};
            ASSERT_TRUE(last.set());
            EXPECT_EQ(current_priority(), 2 << 13 | 6);
        }
        EXPECT_EQ(current_priority(), 3 << 13);
    }
    EXPECT_EQ(current_priority(), before);
}

/// A folder that shows one device as /sys does.
class shown_device {
  public:
    shown_device() {
        struct ::stat status {};
        ::stat(folder_.c_str(), &status);
        number_ = std::to_string(major(status.st_dev)) + ":" + std::to_string(minor(status.st_dev));
    }
    ~shown_device() { std::filesystem::remove_all(folder_); }

    void show(const std::filesystem::path& device, const std::string& schedulers) {
        std::filesystem::create_directories(folder_ / "devices" / device);
        std::filesystem::create_directories(folder_ / "dev/block");
        std::filesystem::remove(folder_ / "dev/block" / number_);
        std::filesystem::create_directory_symlink(folder_ / "devices" / device, folder_ / "dev/block" / number_);
        const auto disk = folder_ / "devices" / *device.begin();
        std::filesystem::create_directories(disk / "queue");
        std::ofstream{disk / "queue/scheduler"} << schedulers;
    }
    io_scheduler asked() const { return io_scheduler_of(folder_.c_str(), folder_.c_str()); }

  private:
    static std::filesystem::path fresh() {
        auto name = (std::filesystem::temp_directory_path() / "ashlar-priority-XXXXXX").string();
        return ::mkdtemp(name.data());
    }

    std::filesystem::path folder_ = fresh();
    std::string           number_;
};

TEST(IoPriority, FindsTheSchedulerOfTheDiskThatHoldsAFile) {
    shown_device device;
    EXPECT_EQ(device.asked().name(), "") << "nothing is shown";
    device.show("disk", "none [mq-deadline] kyber bfq\n");
    EXPECT_EQ(device.asked().name(), "mq-deadline");
}

TEST(IoPriority, AsksTheDiskOfAPartition) {
    shown_device device;
    device.show("disk/part1", "[none] bfq\n");
    EXPECT_EQ(device.asked().name(), "none");
}

#endif

}  // namespace io_priority_test
