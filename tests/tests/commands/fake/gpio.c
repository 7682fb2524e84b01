/*
 * Stands in for the kernel's side of a GPIO character device, for a program that is started with this in LD_PRELOAD.
 *
 * A chip is a plain file /dev/gpiochipN that says "LABEL LINES", and "PIN" on a line of its own for each pin that some
 * other program has. What is asked of the chip is appended to /dev/gpiochipN.log:
 *
 *     request CONSUMER PIN PIN …
 *     set LEVEL LEVEL …          the levels with which it began
 *     set LEVEL LEVEL …          the levels of these pins, in this order
 *
 * Everything else goes to the kernel.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Path of an open file, with SUFFIX behind it. */
static int path_of(int fd, const char *suffix, char *path, size_t size) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, size - strlen(suffix) - 1);
  if (length < 0) return -1;
  strcpy(path + length, suffix);
  return 0;
}

static int chip_info(int fd, struct gpiochip_info *info) {
  char text[256] = "";
  if (pread(fd, text, sizeof text - 1, 0) < 0) return -1;
  memset(info, 0, sizeof *info);
  if (sscanf(text, "%31s %u", info->label, &info->lines) == 2) return 0;
  errno = ENOTTY;
  return -1;
}

static int is_taken(int fd, unsigned pin) {
  char text[256] = "";
  if (pread(fd, text, sizeof text - 1, 0) < 0) return 0;
  char *line = strchr(text, '\n');
  for (unsigned taken; line && sscanf(line, "%u", &taken) == 1; line = strchr(line + 1, '\n'))
    if (taken == pin) return 1;
  return 0;
}

static int set_values(int fd, const struct gpio_v2_line_values *values);

static int request_lines(int fd, struct gpio_v2_line_request *request) {
  char path[256];
  if (!(request->config.flags & GPIO_V2_LINE_FLAG_OUTPUT)) {
    errno = EINVAL;
    return -1;
  }
  for (unsigned i = 0; i < request->num_lines; i++)
    if (is_taken(fd, request->offsets[i])) {
      errno = EBUSY;
      return -1;
    }
  if (path_of(fd, ".log", path, sizeof path) < 0) return -1;
  request->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (request->fd < 0) return -1;
  dprintf(request->fd, "request %s", request->consumer);
  for (unsigned i = 0; i < request->num_lines; i++) dprintf(request->fd, " %u", request->offsets[i]);
  dprintf(request->fd, "\n");
  struct gpio_v2_line_values values = {.mask = (1ull << request->num_lines) - 1};
  for (unsigned i = 0; i < request->config.num_attrs; i++)
    if (request->config.attrs[i].attr.id == GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES)
      values.bits = request->config.attrs[i].attr.values & request->config.attrs[i].mask;
  return set_values(request->fd, &values);
}

static int set_values(int fd, const struct gpio_v2_line_values *values) {
  char line[3 * GPIO_V2_LINES_MAX + 8] = "set";
  for (unsigned i = 0; i < GPIO_V2_LINES_MAX && values->mask >> i & 1; i++)
    strcat(line, values->bits >> i & 1 ? " 1" : " 0");
  strcat(line, "\n");
  return write(fd, line, strlen(line)) < 0 ? -1 : 0;
}

int ioctl(int fd, unsigned long request, ...) {
  va_list rest;
  va_start(rest, request);
  void *argument = va_arg(rest, void *);
  va_end(rest);
  switch (request) {
  case GPIO_GET_CHIPINFO_IOCTL:
    return chip_info(fd, argument);
  case GPIO_V2_GET_LINEINFO_IOCTL:
    return 0;
  case GPIO_V2_GET_LINE_IOCTL:
    return request_lines(fd, argument);
  case GPIO_V2_LINE_SET_VALUES_IOCTL:
    return set_values(fd, argument);
  default:
    return (int)syscall(SYS_ioctl, fd, request, argument);
  }
}
