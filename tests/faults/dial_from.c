/*
 * dial_from: loaded before a daemon (LD_PRELOAD), it lets what the daemon dials come from the address at which it
 * listens, instead of the system's choice, which for all of 127.0.0.0/8 is 127.0.0.1. The address is that of the file
 * named after --config: its first line "  address: 127.A.B.C".
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static struct in_addr own;

/* The word after --config of the command line that /proc/self/cmdline holds. */
static const char *config_path(char *words, size_t size)
{
    for (char *word = words; word < words + size; word += strlen(word) + 1)
        if (strcmp(word, "--config") == 0) return word + sizeof "--config";
    return NULL;
}

static void find_own(void)
{
    char words[4096] = "", line[256], address[64];
    FILE *file = fopen("/proc/self/cmdline", "re");
    size_t size = file ? fread(words, 1, sizeof words - 1, file) : 0;
    if (file) fclose(file);
    const char *path = config_path(words, size);
    file = path ? fopen(path, "re") : NULL;
    while (file && own.s_addr == 0 && fgets(line, sizeof line, file))
        if (sscanf(line, " address: %63[0-9.]", address) == 1) (void)inet_pton(AF_INET, address, &own);
    if (file) fclose(file);
}

__attribute__((visibility("default"))) int connect(int fd, const struct sockaddr *to, socklen_t size);

int connect(int fd, const struct sockaddr *to, socklen_t size)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static int (*real)(int, const struct sockaddr *, socklen_t);
    pthread_once(&once, find_own);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "connect");
    if (to->sa_family == AF_INET && own.s_addr != 0) {
        struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr = own};
        int one = 1;
        (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        (void)bind(fd, (const struct sockaddr *)&from, sizeof from); /* else the cut will not work, which is seen */
    }
    return real(fd, to, size);
}
