/* fuzz_config: any bytes as a configuration file give settings or errors, never a crash or a leak. */
// links: noded_settings
#include "common/base/check.h"
#include "noded/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct noded_settings settings;
    struct config_errors errors = {0};
    const uint8_t nothing = 0;
    struct config_input input = {.file = "fuzz.yaml", .text = bytes_of(size ? data : &nothing, size)};
    enum status status = config_load(&noded_table, &input, &settings, &errors);
    CHECK((status == STATUS_OK) == (errors.count == 0));
    CHECK(status != STATUS_OK || settings.common.listen_address != NULL);
    CHECK(errors.count == 0 || config_errors_text(&errors)[0] != 0);
    config_free(&noded_table, &settings);
    config_errors_free(&errors);
    return 0;
}
