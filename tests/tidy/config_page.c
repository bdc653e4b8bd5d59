/* config_page: prints docs/operating/configuration.md from the daemons' tables; tests/tidy compares. */
#include <stdio.h>

#include "controld/settings.h"
#include "noded/settings.h"
#include "routerd/settings.h"

int main(void)
{
    struct buffer page = {0};
    buffer_printf(&page,
        "# Configuration\n\n"
        "<!-- Made from the daemons' tables: build/dev/bin/config_page > docs/operating/configuration.md -->\n\n"
        "Each daemon reads one YAML file: `noded --config FILE`. `--set section.key=value` overrides one key,\n"
        "`--help-config` prints an example file. Every error of a file is told at once, with its line. Sizes are\n"
        "written `64MiB`, durations `250ms`, lists as YAML sequences (in --set: `a,b,c`). `./dev up` writes these\n"
        "files into `run/conf`.\n\n");
    config_page(&controld_table, &page);
    buffer_printf(&page, "\n");
    config_page(&noded_table, &page);
    buffer_printf(&page, "\n");
    config_page(&routerd_table, &page);
    fwrite(page.data, 1, page.size, stdout);
    buffer_free(&page);
    return 0;
}
