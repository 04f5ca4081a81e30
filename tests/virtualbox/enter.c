/*
 * Runs a program of the lane's own VirtualBox as if it were installed on this computer. Linked under the name of the
 * program to be run (`VBoxManage`); under the name `inside` it runs its arguments.
 *
 * The set-up makes a root folder of a newer Debian beside this program. Here the folders /usr and /etc of that root are
 * laid over this computer's, in a mount namespace that ends with the last process in it. All other folders stay what
 * they are, so that paths, pids and sockets mean the same inside and outside, nothing is left mounted, and nobody
 * outside sees any of it. The /bin, /lib, ... of both are links into /usr.
 *
 * VirtualBox has one server (VBoxSVC) for each user, found by a socket below /tmp. The environment names the socket:
 * it is derived from VBOX_USER_HOME here, so that tests which set that one variable have servers of their own.
 *
 * Build, inside the set-up's root:  cc -O2 -static -o inside enter.c     (static: it starts outside that root)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

/* What the other root must know of this computer: names of users and hosts. */
static const char *const shared[] = {"/etc/resolv.conf", "/etc/hosts", "/etc/passwd", "/etc/group"};

static void give_up(const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
    exit(126);
}

static void bind_over(const char *from, const char *onto)
{
    if (mount(from, onto, NULL, MS_BIND | MS_REC, NULL) != 0)
        give_up(onto);
}

/* The folder above the one that holds this program. */
static void find_home(char *home)
{
    ssize_t length = readlink("/proc/self/exe", home, PATH_MAX - 1);
    if (length < 0)
        give_up("/proc/self/exe");
    home[length] = '\0';
    for (int up = 0; up < 2; up++)
        *strrchr(home, '/') = '\0';
}

static void lay_over(const char *home)
{
    char path[PATH_MAX + 64], own[PATH_MAX];
    if (unshare(CLONE_NEWNS) != 0)
        give_up("no mount namespace of its own (are you root?)");
    if (mount("none", "/", NULL, MS_REC | MS_SLAVE, NULL) != 0)
        give_up("/");
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++) {
        if (!realpath(shared[i], own))
            continue;
        snprintf(path, sizeof path, "%s/root%s", home, shared[i]);
        bind_over(own, path);
    }
    snprintf(path, sizeof path, "%s/root/etc", home);
    bind_over(path, "/etc");
    snprintf(path, sizeof path, "%s/root/usr", home);
    bind_over(path, "/usr");
}

static void name_socket(void)
{
    const char *user_home = getenv("VBOX_USER_HOME");
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a: short, and the path of a socket must be */
    char name[32];
    if (!user_home || getenv("VBOX_IPC_SOCKETID"))
        return;
    for (const char *c = user_home; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
    snprintf(name, sizeof name, "lane-%016llx", (unsigned long long)hash);
    setenv("VBOX_IPC_SOCKETID", name, 1);
}

int main(int argc, char **argv)
{
    char home[PATH_MAX], program[PATH_MAX];
    int is_inside = strcmp(program_invocation_short_name, "inside") == 0;
    if (is_inside && argc < 2) {
        fprintf(stderr, "usage: inside PROGRAM [ARGUMENT...]\n");
        return 2;
    }
    find_home(home);
    lay_over(home);
    name_socket();
    if (is_inside) {
        execvp(argv[1], argv + 1);
        give_up(argv[1]);
    }
    snprintf(program, sizeof program, "/usr/bin/%s", program_invocation_short_name);
    execv(program, argv);
    give_up(program);
}
