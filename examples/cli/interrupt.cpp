#include "interrupt.hpp"

#include "exit_code.hpp"

#include <unistd.h>

#include <csignal>

namespace cli {
namespace {

volatile std::sig_atomic_t flag = 0;

extern "C" void note_interrupt(int signal_number) {
    if (flag != 0) {
        std::signal(signal_number, SIG_DFL);
        std::raise(signal_number);
    }
    flag = 1;
}

extern "C" void end_process(int) {
    constexpr char text[] = "ashlar: interrupted: nothing was changed: run the command again\n";
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0) _exit(static_cast<int>(exit_code::failed));
    _exit(static_cast<int>(exit_code::interrupted));
}

}  // namespace

void watch_for_interrupt() {
    struct sigaction action {};
    action.sa_handler = note_interrupt;
    action.sa_flags   = SA_RESTART;  // a transfer that is under way completes
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
    std::signal(SIGPIPE, SIG_IGN);  // a closed pager is an error of the output, not the end of a half-done command
    std::signal(SIGXFSZ, SIG_IGN);  // a file size limit answers with an error instead
}

void end_at_interrupt() {
    struct sigaction action {};
    action.sa_handler = end_process;
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
    if (interrupted()) end_process(SIGINT);
}

bool interrupted() { return flag != 0; }

}  // namespace cli
