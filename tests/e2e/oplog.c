/* Writes down what a process does to the files under one folder, so that a test can lay out the disk as a power cut
 * at any instant would have left it. Preloaded (LD_PRELOAD); knows nothing of who it listens to.
 *
 * OPLOG names the log, OPLOG_ROOT the folder. A record is: kind (1 byte), then as little-endian uint32 the lengths of
 * path, second path and data, then as uint64 the offset or size, then the three. Kinds: c create, w write, t truncate,
 * s sync, r rename, u unlink, d make a folder, a acknowledgement (a write to file descriptor 1).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int log_fd = -2;
static char root[PATH_MAX];

static void put(const void *data, size_t length) {
    const char *at = data;
    while (length > 0) {
        long done = syscall(SYS_write, log_fd, at, length);
        if (done <= 0) abort();
        at += done;
        length -= (size_t)done;
    }
}

static int listening(void) {
    if (log_fd == -2) {
        const char *name = getenv("OPLOG"), *folder = getenv("OPLOG_ROOT");
        log_fd = -1;
        if (name && folder && realpath(folder, root))
            log_fd = (int)syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
    return log_fd >= 0;
}

static void note(char kind, const char *path, const char *other, const void *data, size_t length, uint64_t offset) {
    uint32_t sizes[3] = {(uint32_t)strlen(path), (uint32_t)strlen(other), (uint32_t)length};
    put(&kind, 1);
    put(sizes, sizeof sizes);
    put(&offset, sizeof offset);
    put(path, sizes[0]);
    put(other, sizes[1]);
    put(data, length);
}

static int inside(const char *path) {
    size_t length = strlen(root);
    return strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static int path_of(int fd, char *path) {
    char link[64];
    if (!listening()) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return inside(path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void wrote(int fd, const void *data, ssize_t length, off_t offset) {
    char path[PATH_MAX];
    if (length <= 0) return;
    if (fd == 1 && listening()) note('a', "", "", data, (size_t)length, 0);
    else if (path_of(fd, path)) note('w', path, "", data, (size_t)length, (uint64_t)offset);
}

ssize_t write(int fd, const void *data, size_t length) {
    off_t offset = (fcntl(fd, F_GETFL) & O_APPEND) ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
    ssize_t done = REAL(write)(fd, data, length);
    wrote(fd, data, done, offset);
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) {
    ssize_t done = REAL(pwrite)(fd, data, length, offset);
    wrote(fd, data, done, offset);
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
    ssize_t done = REAL(pwrite64)(fd, data, length, offset);
    wrote(fd, data, done, offset);
    return done;
}

static int truncated(int done, int fd, uint64_t size) {
    char path[PATH_MAX];
    if (done == 0 && path_of(fd, path)) note('t', path, "", "", 0, size);
    return done;
}

int ftruncate(int fd, off_t size) { return truncated(REAL(ftruncate)(fd, size), fd, (uint64_t)size); }
int ftruncate64(int fd, off64_t size) { return truncated(REAL(ftruncate64)(fd, size), fd, (uint64_t)size); }

static int synced(int done, int fd) {
    char path[PATH_MAX];
    if (done == 0 && path_of(fd, path)) note('s', path, "", "", 0, 0);
    return done;
}

int fsync(int fd) { return synced(REAL(fsync)(fd), fd); }
int fdatasync(int fd) { return synced(REAL(fdatasync)(fd), fd); }

static int opened(int fd, int flags, int was_there) {
    char path[PATH_MAX];
    if (fd >= 0 && (flags & (O_CREAT | O_TRUNC)) && path_of(fd, path)) {
        if (!was_there) note('c', path, "", "", 0, 0);
        else if (flags & O_TRUNC) note('t', path, "", "", 0, 0);
    }
    return fd;
}

#define OPEN(name)                                                        \
    int name(const char *path, int flags, ...) {                          \
        struct stat facts;                                                \
        va_list rest;                                                     \
        va_start(rest, flags);                                            \
        mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                     \
        int was_there = stat(path, &facts) == 0;                          \
        return opened(REAL(name)(path, flags, mode), flags, was_there);   \
    }
OPEN(open)
OPEN(open64)

static int named(int done, char kind, const char *path, const char *other) {
    if (done == 0 && listening() && (inside(path) || inside(other))) note(kind, path, other, "", 0, 0);
    return done;
}

int rename(const char *path, const char *other) { return named(REAL(rename)(path, other), 'r', path, other); }
int unlink(const char *path) { return named(REAL(unlink)(path), 'u', path, ""); }
int mkdir(const char *path, mode_t mode) { return named(REAL(mkdir)(path, mode), 'd', path, ""); }
