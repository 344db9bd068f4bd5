/* Tells its client, on descriptor 1, what it was given: descriptors, signals,
   timers, limits, identity, processors, environment, arguments.  One fact a line. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void descriptors(void)
{
  for (int fd = 0; fd < 1024; ++fd) {
    int flags = fcntl(fd, F_GETFL);
    struct stat st;
    if (flags == -1 || fstat(fd, &st) == -1) continue;
    printf("fd %d %s%s\n", fd, S_ISSOCK(st.st_mode) ? "socket" : "other",
           flags & O_NONBLOCK ? " nonblocking" : "");
  }
}

static void signals(void)
{
  sigset_t mask, pending;
  sigprocmask(SIG_BLOCK, 0, &mask);
  sigpending(&pending);
  for (int sig = 1; sig <= SIGRTMAX; ++sig) {
    struct sigaction action;
    if (sigaction(sig, 0, &action) == -1) continue;
    if (action.sa_handler != SIG_DFL) printf("signal %d not default\n", sig);
    if (sigismember(&mask, sig) == 1) printf("signal %d blocked\n", sig);
    if (sigismember(&pending, sig) == 1) printf("signal %d pending\n", sig);
  }
}

static void timers(void)
{
  for (int which = ITIMER_REAL; which <= ITIMER_PROF; ++which) {
    struct itimerval timer;
    getitimer(which, &timer);
    if (timer.it_value.tv_sec || timer.it_value.tv_usec) printf("timer %d pending\n", which);
  }
}

static void identity(void)
{
  gid_t groups[256];
  int count = getgroups(256, groups);
  printf("uid %d %d\ngid %d %d\ngroups", getuid(), geteuid(), getgid(), getegid());
  for (int i = 0; i < count; ++i) printf(" %d", groups[i]);
  printf("\n");
}

static void processors(void)
{
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sched_getaffinity(0, sizeof allowed, &allowed);
  printf("processors");
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &allowed)) printf(" %d", cpu);
  printf("\n");
}

int main(int argc, char **argv)
{
  struct rlimit files;
  char cwd[4096], options[64];
  int death = 0, nodelay = 0;
  socklen_t length = sizeof nodelay;
  mode_t mask = umask(0);

  descriptors();
  signals();
  timers();
  identity();
  processors();
  getrlimit(RLIMIT_NOFILE, &files);
  prctl(PR_GET_PDEATHSIG, &death);
  getsockopt(0, IPPROTO_TCP, TCP_NODELAY, &nodelay, &length);
  printf("nodelay %d\n", !!nodelay);
  length = sizeof options;
  if (getsockopt(0, IPPROTO_IP, IP_OPTIONS, options, &length) == 0)
    printf("ip_options %d\n", (int) length);
  printf("umask %o\n", mask);
  printf("cwd %s\n", getcwd(cwd, sizeof cwd));
  printf("files %lu\n", (unsigned long) files.rlim_cur);
  printf("nice %d\n", getpriority(PRIO_PROCESS, 0));
  printf("no_new_privs %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  printf("seccomp %d\n", prctl(PR_GET_SECCOMP));
  printf("pdeathsig %d\n", death);
  printf("pid %d\n", getpid());
  printf("ppid %d\n", getppid());
  for (int i = 0; i < argc; ++i) printf("arg %s\n", argv[i]);
  for (char **e = environ; *e; ++e) printf("env %s\n", *e);
  fflush(stdout);
  return 0;
}
