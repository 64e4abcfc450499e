/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The help of viommu(1), made from the table of commands in the form that virsh has.
 */
#pragma once

#include "viommu.h"

/* Free with g_free. */
char *viommuHelp(void);
char *viommuHelpCommand(const viommuCmd *cmd);
