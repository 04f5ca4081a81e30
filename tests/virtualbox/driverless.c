/*
 * VirtualBox's headless front end for computers that cannot load its kernel module: test machines only, it is slow.
 *
 * Why it is needed: the stock VBoxHeadless refuses to start a VM without /dev/vboxdrv. The virtual machine monitor can
 * do without: its own unit tests create VMs in "driverless" mode, where IEM, VirtualBox's interpreter and recompiler,
 * runs the guest. Nothing but three switches keeps the stock front end from it, and none of them is a setting:
 *
 * 1. the runtime is initialised with the flags that let the support library do without the driver;
 * 2. the flag for a VM without the driver is set in the call that creates the VM. The front end makes that call through
 *    the monitor's table of functions, so one entry of this table is exchanged for a function of ours;
 * 3. "fall back to IEM" and "IEM runs everything, recompiled" are put into each VM's configuration tree after the
 *    front end has filled it. By this no VM needs an extradata of its own, and who drives VirtualBox need not know.
 *
 * All else is VirtualBox's own: this program ends in the TrustedMain of VBoxHeadless.so.
 * Tested with 7.2. Source: VirtualBox, include/iprt/initterm.h (RTR3INIT_FLAGS_*), include/VBox/sup.h
 * (SUPR3INIT_F_*), include/VBox/vmm/vmm.h (VMCREATE_F_DRIVERLESS), include/VBox/vmm/cfgm.h.
 *
 * Build, inside the set-up's root:  cc -O2 -o VBoxHeadless driverless.c -ldl
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define FOLDER "/usr/lib/virtualbox/"

enum {
    RUNTIME_TRY_SUPLIB = 1 << 2,       /* initialise the support library; go on if that fails */
    RUNTIME_SUPLIB_SHIFT = 16,         /* flags for the support library stand above this bit */
    SUPLIB_DRIVERLESS = 1 << 2,
    SUPLIB_DRIVERLESS_IEM_ALLOWED = 1 << 3,
    CREATE_DRIVERLESS = 1 << 0,
    TABLE_ENTRIES = 400,               /* the table has about 300; it ends within the library's data */
};

typedef int configure_vm(void *uvm, void *vm, const void *table, void *user);
typedef int create_vm(uint32_t cpus, const void *methods, uint64_t flags, void *on_error, void *on_error_user,
                      configure_vm *configure, void *configure_user, void **vm, void **uvm);

struct configuration {
    configure_vm *original;
    void *user;
};

static void *monitor;
static create_vm *original_create;

static void give_up(const char *what)
{
    fprintf(stderr, "driverless VBoxHeadless: %s\n", what);
    exit(1);
}

static void *load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (!library)
        give_up(dlerror());
    return library;
}

static void *find(void *library, const char *name)
{
    void *found = dlsym(library, name);
    if (!found)
        give_up(dlerror());
    return found;
}

/* Set a whole number in the VM's configuration tree, whether or not the front end has set it. */
static void set_number(void *root, const char *branch, const char *name, uint64_t value)
{
    void *(*get_child)(void *, const char *) = find(monitor, "CFGMR3GetChild");
    int (*insert_node)(void *, const char *, void **) = find(monitor, "CFGMR3InsertNode");
    int (*remove_value)(void *, const char *) = find(monitor, "CFGMR3RemoveValue");
    int (*insert_integer)(void *, const char *, uint64_t) = find(monitor, "CFGMR3InsertInteger");
    void *node = get_child(root, branch);
    if (!node && insert_node(root, branch, &node) < 0)
        give_up("the VM's configuration takes no new branch");
    remove_value(node, name);
    if (insert_integer(node, name, value) < 0)
        give_up("the VM's configuration takes no new value");
}

static int configure_for_iem(void *uvm, void *vm, const void *table, void *user)
{
    struct configuration *wrapped = user;
    int status = wrapped->original(uvm, vm, table, wrapped->user);
    if (status < 0)
        return status;
    void *(*get_root)(void *) = find(monitor, "CFGMR3GetRoot");
    void *root = get_root(vm);
    set_number(root, "HM", "FallbackToIEM", 1);
    set_number(root, "EM", "IemExecutesAll", 1);
    set_number(root, "EM", "IemRecompiled", 1);
    return status;
}

static int create_driverless(uint32_t cpus, const void *methods, uint64_t flags, void *on_error, void *on_error_user,
                             configure_vm *configure, void *configure_user, void **vm, void **uvm)
{
    /* Used until the call returns: the tree is filled by the VM's own thread while this one waits. */
    struct configuration wrapped = {configure, configure_user};
    return original_create(cpus, methods, flags | CREATE_DRIVERLESS, on_error, on_error_user, configure_for_iem,
                           &wrapped, vm, uvm);
}

static void exchange(const void **table)
{
    for (int i = 0; i < TABLE_ENTRIES; i++) {
        if (table[i] != (const void *)original_create)
            continue;
        uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
        void *start = (void *)((uintptr_t)&table[i] & ~(page - 1));
        if (mprotect(start, 2 * page, PROT_READ | PROT_WRITE) != 0)
            give_up("the monitor's table of functions cannot be written");
        table[i] = (const void *)create_driverless;
        return;
    }
    give_up("the monitor's table has no function that creates a VM: another version of VirtualBox?");
}

int main(int argc, char **argv, char **envp)
{
    int (*init)(int, char ***, uint32_t) = find(load(FOLDER "VBoxRT.so"), "RTR3InitExe");
    uint32_t suplib = SUPLIB_DRIVERLESS | SUPLIB_DRIVERLESS_IEM_ALLOWED;
    if (init(argc, &argv, RUNTIME_TRY_SUPLIB | suplib << RUNTIME_SUPLIB_SHIFT) < 0)
        give_up("VirtualBox's runtime does not start");

    monitor = load(FOLDER "VBoxVMM.so");
    original_create = find(monitor, "VMR3Create");
    const void **(*get_table)(void) = find(monitor, "VMMR3GetVTable");
    exchange(get_table());

    int (*headless)(int, char **, char **) = find(load(FOLDER "VBoxHeadless.so"), "TrustedMain");
    return headless(argc, argv, envp);
}
