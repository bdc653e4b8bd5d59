/* fuzz_file: any bytes as any file of a data directory give a verdict. The first byte chooses the path. */
// links: msgctl_files
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/runtime/identity.h"
#include "msgctl/files/files.h"

static const char *const paths[] = {"log/00-00000001", "raft/00-00000001", "ranges/1/0000000000000001.sst",
    "ranges/1/MANIFEST-1", "identity", "view", "snapshot-0000000000000001", "makers"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct files_report report;
    if (size == 0) return 0;
    const char *path = paths[data[0] % (sizeof paths / sizeof *paths)];
    uint8_t *file = mem_alloc(size); /* its own block, so that a read behind it is noticed */
    memcpy(file, data + 1, size - 1);
    enum status status = files_inspect(path, bytes_of(file, size - 1), NULL, &report);
    CHECK(status == STATUS_OK || report.why[0] != 0);
    struct uuid cluster = {{1}};
    struct identity identity;
    char why[IDENTITY_WHY_BYTES] = "";
    status = identity_judge(bytes_of(file, size - 1), &cluster, &identity, why);
    CHECK(status == STATUS_OK || why[0] != 0);
    mem_free(file);
    return 0;
}
