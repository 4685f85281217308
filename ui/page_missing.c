/* Stands in for the page where Node or npm was not found, or the option `ui` is disabled: the server then says so at /.
 */
#include "serve/assets.h"

const struct asset assets[] = {{0}};
const size_t asset_count = 0;
