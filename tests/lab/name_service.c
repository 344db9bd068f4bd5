/* A service of nsswitch.conf(5), loaded in hesiod's place: a user and a group that no file
   has. */

#include <errno.h>
#include <grp.h>
#include <nss.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

enum { USER = 64100, PRIMARY = 64101, GROUP = 64102 };

static enum nss_status give_user(struct passwd *entry) {
  memset(entry, 0, sizeof *entry);
  entry->pw_name = "serviceuser";
  entry->pw_passwd = "x";
  entry->pw_uid = USER;
  entry->pw_gid = PRIMARY;
  entry->pw_gecos = "";
  entry->pw_dir = "/";
  entry->pw_shell = "/bin/false";
  return NSS_STATUS_SUCCESS;
}

enum nss_status _nss_hesiod_getpwnam_r(const char *name, struct passwd *entry, char *buffer,
                                       size_t size, int *error) {
  (void)buffer, (void)size;
  *error = ENOENT;
  return strcmp(name, "serviceuser") == 0 ? give_user(entry) : NSS_STATUS_NOTFOUND;
}

enum nss_status _nss_hesiod_getpwuid_r(uid_t id, struct passwd *entry, char *buffer, size_t size,
                                       int *error) {
  (void)buffer, (void)size;
  *error = ENOENT;
  return id == USER ? give_user(entry) : NSS_STATUS_NOTFOUND;
}

enum nss_status _nss_hesiod_getgrnam_r(const char *name, struct group *entry, char *buffer,
                                       size_t size, int *error) {
  static char *none[] = {0};
  (void)buffer, (void)size;
  *error = ENOENT;
  if (strcmp(name, "servicegroup") != 0)
    return NSS_STATUS_NOTFOUND;
  memset(entry, 0, sizeof *entry);
  entry->gr_name = "servicegroup";
  entry->gr_passwd = "x";
  entry->gr_gid = GROUP;
  entry->gr_mem = none;
  return NSS_STATUS_SUCCESS;
}

/* Every user is in the group. */
enum nss_status _nss_hesiod_initgroups_dyn(const char *user, gid_t primary, long *start, long *size,
                                           gid_t **groups, long limit, int *error) {
  (void)user, (void)primary, (void)limit;
  if (*start == *size) {
    gid_t *more = realloc(*groups, (*size + 1) * sizeof **groups);
    if (!more) {
      *error = ENOMEM;
      return NSS_STATUS_TRYAGAIN;
    }
    *groups = more;
    *size += 1;
  }
  (*groups)[(*start)++] = GROUP;
  return NSS_STATUS_SUCCESS;
}
