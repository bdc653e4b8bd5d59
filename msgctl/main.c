/* msgctl: the admin's program. Everything is in its library. */
#include "msgctl/cli.h"

int main(int argc, char **argv)
{
    return cli_main(argc, argv);
}
