"""Reading what is the host's and writing what everybody shares."""
import os
import stat

from attempts import attempt, expect


def write(path):
    with open(path, "w") as f:
        f.write("x")
    return path


def handler(event, context):
    results = {}
    for path in ["/etc/shadow", "/etc/sudoers", "/etc/ssl/private", "/root", "/home/user", "/var/lib", "/var/log", "/sys",
                 "/boot", "/mnt", "/srv", "/run", event["secret"], event["state"]]:
        attempt(results, f"look at {path}", lambda: os.listdir(path) if os.path.isdir(path) else open(path).read())
    for directory in ["/", "/usr", "/usr/bin", "/etc", "/var", "/var/task", "/var/runtime", "/var/runtime/python", "/opt",
                      "/dev", "/home", "/proc", "/proc/sys/kernel"]:
        attempt(results, f"write to {directory}", lambda: write(directory + "/written"))
    for path in ["/etc/passwd", "/var/task/files.py", "/usr/bin/python3", "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern",
                 "/proc/sys/kernel/hostname", "/proc/1/oom_score_adj", "/proc/self/uid_map"]:
        attempt(results, f"overwrite {path}", lambda: write(path))
    attempt(results, "change a mode", lambda: os.chmod("/var/task/files.py", 0o777))
    attempt(results, "make a device", lambda: os.mknod("/tmp/disk", stat.S_IFBLK | 0o666, os.makedev(254, 0)))
    attempt(results, "make a character device", lambda: os.mknod("/tmp/mem", stat.S_IFCHR | 0o666, os.makedev(1, 1)))
    for device in ["mem", "kmsg", "vda", "sda", "kvm", "net/tun", "fuse", "loop-control", "tty", "ptmx"]:
        attempt(results, f"open /dev/{device}", lambda: open("/dev/" + device, "rb").read(1))
    attempt(results, "leave by ..", lambda: expect(os.stat("/..").st_ino == os.stat("/").st_ino, os.listdir("/..")))
    # It names the directories its own mounts come from; those of the host are not among them.
    points = [line.split()[4] for line in open("/proc/self/mountinfo")]
    attempt(results, "see the host's mounts", lambda: expect(
        not any(p.startswith(("/sys", "/run", "/mnt", "/tmp/", "/proc/")) for p in points), points))

    def gain_by_set_user_id():
        with open("/tmp/tool", "wb") as f:
            f.write(open("/bin/sh", "rb").read())
        os.chmod("/tmp/tool", 0o6755)
        uid = os.popen("/tmp/tool -c 'id -u'").read().strip()
        return expect(uid == str(os.getuid()), uid)

    attempt(results, "gain by a set-user-id file", gain_by_set_user_id)
    attempt(results, "have capabilities", lambda: expect(
        all(int(line.split()[1], 16) == 0 for line in open("/proc/self/status") if line.startswith("Cap")), "some"))
    return results
