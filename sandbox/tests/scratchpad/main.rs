//! The scratchpad on a throwaway host: what runs inside behaves as it would live, nothing live
//! changes, and nothing is left. Each test is a script; `same` checks that two commands print the
//! same, `clean` that no scratch directory, mount or process is left.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on panics, and a skipped one says so"
)]

mod host;

use host::{Disk, Host, is_root, on_disk};

/// Functions for the scripts. `same A B` runs A natively, B in the scratchpad, and compares.
const PRELUDE: &str = r#"
same() { diff -a <(bash -c "$1") <(dry-run bash -c "$1" 2>/dev/null); }
inside() { dry-run bash -eu -c "$@"; }
clean() {
    [ -z "$(ls -A /var/lib/isconf/scratch)" ]
    [ -z "$(find / -xdev -name .isconf; find /run /tmp -name .isconf)" ]
    [ "$(grep -c overlay /proc/mounts)" = 0 ]
    ! pgrep -x sleep >/dev/null
}
refused() { # refused WORDS-OF-THE-EFFECT COMMAND...
    local effect=$1; shift
    if dry-run "$@" 2>/tmp/err >/tmp/out; then echo "succeeded: $*"; exit 1; fi
    grep -q "effect:.*$effect" /tmp/err || { cat /tmp/err; exit 1; }
}
tree() { find / -xdev -path /var/lib/isconf -prune -o -printf '%p %y %m %u %g %s %T@ %l\n' | sort; }
"#;

macro_rules! scratchpad_tests {
    ($($(#[$meta:meta])* $name:ident: $script:expr;)*) => {
        $($(#[$meta])* #[test]
        fn $name() {
            if is_root() {
                on_disk(&[PRELUDE, $script, "\nclean\n"].concat());
            }
        })*
    };
}

scratchpad_tests! {
    a_command_sees_the_same_cwd_environment_identity_and_streams: r#"
        mkdir -p '/srv/a b'; cd '/srv/a b'; umask 027
        export NASTY=$'a\nb\\c'
        same 'pwd; env -u SHLVL -u _ | sort -z; id; umask; cat /etc/passwd; ls -l /etc | tail -n +2'
        [ "$(echo in | dry-run cat)" = in ]
        dry-run sh -c 'echo out; echo err >&2' >/tmp/o 2>/tmp/e
        [ "$(cat /tmp/o)" = out ]; grep -qx err /tmp/e
    "#;

    the_ending_is_that_of_the_command: r#"
        rc() { local want=$1; shift; local got=0; dry-run "$@" 2>/dev/null || got=$?
               [ $got = $want ] || { echo "$* gave $got"; exit 1; }; }
        rc 0 true; rc 7 sh -c 'exit 7'; rc 255 sh -c 'exit 255'
        rc 137 sh -c 'kill -9 $$'; rc 139 sh -c 'kill -SEGV $$'
        rc 127 no-such-command; rc 127 /no/such; rc 126 /etc/passwd; rc 126 /etc
        mkdir /srv/gone; cd /srv/gone; rmdir /srv/gone
        if dry-run true 2>/tmp/e; then exit 1; fi
        cd /; mkdir /srv/only; cd /srv/only
        # The directory is removed between the start and the command by the command before it.
        rc 0 sh -c 'rmdir /srv/only'
        printf 'echo script "$@"\n' > /opt/bin/noshebang; chmod +x /opt/bin/noshebang
        [ "$(dry-run noshebang a b)" = 'script a b' ]
    "#;

    the_top_of_the_tree_looks_as_it_does_live: r#"
        chmod 1771 /srv; chmod 700 /root; chown 65534 /home; touch -d 2001-01-01 /opt
        same 'stat -c "%n %F %a %u %g" / /srv /root /home /run /tmp /usr /proc /var; stat -c "%n %y" / /opt /run /tmp'
    "#;

    nothing_live_changes: r#"
        dry-run true
        tree > /dev/shm/before
        inside 'echo x > /new; echo y >> /etc/passwd; rm -rf /srv; mkdir -p /home/a/b; chmod 700 /opt
                mv /mnt /mnt2; touch /run/x /tmp/y; ln /etc/group /etc/group2' 2>/dev/shm/err
        tree > /dev/shm/after
        diff /dev/shm/before /dev/shm/after
        [ ! -e /run/x ]; [ ! -e /tmp/y ]
        for line in 'Added /new' 'Modified /etc/passwd' 'Deleted /srv' 'Added /tmp/y' 'Moved /mnt2'; do
            grep -qx "$line" /dev/shm/err
        done
    "#;

    strange_names_work: r#"
        mkdir '/srv/a b' $'/srv/new\nline' '/srv/back\slash' $'/srv/\xff\xfe' '/srv/co:mma,x'
        for d in /srv/*; do mount -t tmpfs tmpfs "$d"; echo live > "$d/f"; done
        inside 'for d in /srv/*; do grep -q live "$d/f"; echo more >> "$d/f"; echo x > "$d/"$'"'"'n\n\xff'"'"'; done
                [ $(cat /srv/*/f | wc -l) = 10 ]'
        [ "$(cat /srv/*/f | wc -l)" = 5 ]
        for d in /srv/*; do [ "$(ls -A "$d")" = f ]; done
    "#;

    nested_writable_mounts_are_covered: r#"
        mount -t tmpfs tmpfs /mnt; mkdir -p /mnt/in/deep; mount -t tmpfs tmpfs /mnt/in
        echo a > /mnt/x; echo b > /mnt/in/y
        inside 'echo more >> /mnt/x; echo more >> /mnt/in/y; mkdir -p /mnt/in/z; [ -f /mnt/in/y ]'
        [ "$(cat /mnt/x /mnt/in/y)" = $'a\nb' ]; [ ! -e /mnt/in/z ]
    "#;

    a_bind_mount_and_its_source_stay_one: r#"
        mkdir -p /srv/data/sub; echo 1 > /srv/data/sub/f; mount --bind /srv/data /mnt
        echo file > /srv/data/g; touch /etc/g; mount --bind /srv/data/g /etc/g
        inside 'echo 2 > /mnt/sub/f; [ "$(cat /srv/data/sub/f)" = 2 ]
                echo 3 > /srv/data/new; [ "$(cat /mnt/new)" = 3 ]
                echo 4 > /etc/g; [ "$(cat /srv/data/g)" = 4 ]'
        [ "$(cat /srv/data/sub/f)" = 1 ]; [ "$(cat /etc/g)" = file ]
    "#;

    a_read_only_mount_stays_read_only: r#"
        mount -t tmpfs tmpfs /mnt; echo a > /mnt/f; mount -o remount,ro /mnt
        if inside 'echo b > /mnt/f' 2>/tmp/err; then exit 1; fi
        grep -q 'Read-only' /tmp/err
        if dry-run touch /usr/x 2>/dev/null; then exit 1; fi
        dry-run cat /mnt/f | grep -qx a
        umount /mnt; mount -t tmpfs -o noexec,nosuid tmpfs /mnt; cp /usr/bin/true /mnt
        if dry-run /mnt/true 2>/dev/null; then exit 1; fi
    "#;

    an_uncoverable_mount_is_read_only_and_named: r#"
        mount -t ramfs ramfs /mnt; echo a > /mnt/f
        if inside 'echo b > /mnt/f' 2>/tmp/err; then exit 1; fi
        grep -q 'not covered: /mnt: read-only' /tmp/err
        mkdir -p /var/lib/docker/overlay2/layer; touch /var/lib/docker/overlay2/layer/f
        dry-run sh -c '[ -z "$(ls -A /var/lib/docker/overlay2)" ]' 2>/tmp/err
        grep -q 'not covered: /var/lib/docker/overlay2: masked' /tmp/err
    "#;

    attempts_on_the_live_machine_are_refused_and_reported: r#"
        before=$(cat /proc/sys/vm/swappiness)
        refused 'Sysctl.*vm.swappiness' bash -c 'echo 1 > /proc/sys/vm/swappiness'
        [ "$(cat /proc/sys/vm/swappiness)" = $before ]
        refused 'Mount.*on /mnt' mount -t tmpfs x /mnt
        refused 'Mount.*/run' umount /run
        refused 'Clock' date -s 2020-01-01
        refused 'HostName.*other' hostname other
        refused 'Reboot.*restart' perl -e 'exit(syscall(169,0xfee1dead,672274793,0x1234567,0)==-1)'
        refused 'RawDevice.*/dev/disk' bash -c 'echo x > /dev/disk'
        refused 'RawDevice.*/root/disk' bash -c 'mknod /root/disk b 254 0; dd if=/dev/zero of=/root/disk count=1'
        refused 'Mount.*umount2' umount /
        refused 'Swap.*/etc/passwd' perl -e '$p = "/etc/passwd"; exit(syscall(167,$p,0)==-1)'
        refused 'KernelModule' perl -e 'exit(syscall(175,0,0,0)==-1)'
        refused 'Process.*mount' unshare -m true
        dry-run adjtimex -p >/dev/null 2>&1 || true
    "#;

    processes_inside_see_only_each_other: r#"
        sleep 1000 & live=$!
        dry-run bash -c "! kill -0 $live" 2>/dev/null
        dry-run bash -c '[ $(ls -d /proc/[0-9]* | wc -l) -lt 6 ]'
        dry-run grep -q 'NoNewPrivs:.*0' /proc/self/status
        dry-run setpriv --reuid 65534 --clear-groups id -u | grep -qx 65534
        kill $live
    "#;

    live_daemons_are_not_reached_by_their_sockets: r#"
        perl -MIO::Socket::UNIX -e '$a = IO::Socket::UNIX->new(Local => "/run/live.sock", Listen => 1) or die;
            $b = IO::Socket::UNIX->new(Local => "\0live", Listen => 1) or die; open F, ">/run/up"; close F; sleep 1000' & live=$!
        until [ -e /run/up ]; do :; done
        connect='use IO::Socket::UNIX; $s = IO::Socket::UNIX->new(Peer => $ARGV[0] eq "abstract" ? "\0live" : $ARGV[0]); exit !$s'
        perl -e "$connect" /run/live.sock; perl -e "$connect" abstract
        ! dry-run perl -e "$connect" /run/live.sock 2>/dev/null
        ! dry-run perl -e "$connect" abstract 2>/dev/null
        dry-run perl -MIO::Socket::UNIX -e '$a = IO::Socket::UNIX->new(Local => "/run/own", Listen => 1) or die;
            IO::Socket::UNIX->new(Peer => "/run/own") or die;
            $b = IO::Socket::UNIX->new(Local => "\0own", Listen => 1) or die;
            IO::Socket::UNIX->new(Peer => "\0own") or die' 2>/dev/null
        kill $live
    "#;

    what_is_left_running_is_ended_and_named: r#"
        dry-run bash -c 'sleep 1000 & until pgrep -x sleep >/dev/null; do :; done' 2>/tmp/err
        grep -q 'left running.*sleep 1000' /tmp/err
    "#;

    hard_links_keep_together: r#"
        echo one > /srv/a; ln /srv/a /srv/b
        inside 'echo two >> /srv/a; [ "$(cat /srv/b)" = $'"'one\ntwo'"' ]
                [ $(stat -c %h /srv/b) = 2 ]; ln /srv/b /srv/c; [ $(stat -c %h /srv/a) = 3 ]
                [ $(stat -c %i /srv/a) = $(stat -c %i /srv/c) ]'
        [ "$(cat /srv/a /srv/b)" = $'one\none' ]
    "#;

    populated_directories_can_be_renamed_and_exchanged: r#"
        mkdir -p /srv/d/e; echo 1 > /srv/d/e/f; mkdir /srv/x; echo 2 > /srv/x/y
        inside 'perl -e "rename(q(/srv/d), q(/srv/new)) or die" && [ "$(cat /srv/new/e/f)" = 1 ]
                # renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE)
                perl -e "\$a=q(/srv/new); \$b=q(/srv/x); syscall(316,-100,\$a,-100,\$b,2)==0 or die"
                [ "$(cat /srv/x/e/f)" = 1 ]; [ "$(cat /srv/new/y)" = 2 ]
                mkdir /srv/d; [ -z "$(ls -A /srv/d)" ]'
        [ "$(cat /srv/d/e/f)" = 1 ]
    "#;

    files_without_a_name_and_sparse_files_work: r#"
        truncate -s 64M /srv/hole; echo end >> /srv/hole
        inside '# open(dir, O_TMPFILE|O_RDWR), then linkat through /proc/self/fd
                perl -e "use Fcntl; sysopen(F, q(/srv), 020200000|O_RDWR, 0644) or die; print F q(x);
                         \$|=1; close(F)"
                echo more >> /srv/hole; [ $(stat -c %b /srv/hole) -lt 5000 ]
                mkfifo /srv/p; (echo hi > /srv/p &) ; [ "$(cat /srv/p)" = hi ]'
    "#;

    a_big_file_is_not_copied_for_its_attributes: r#"
        truncate -s 10G /srv/big; fallocate -l 64M /srv/full; sync
        export FREE=$(stat -f -c %f /)
        inside 'chmod 600 /srv/full /srv/big; chown 65534 /srv/full
                [ $(stat -c %a,%u /srv/full) = 600,65534 ]; [ $((FREE - $(stat -f -c %f /))) -lt 1000 ]'
        [ $(stat -c %a /srv/full) = 644 ]
    "#;

    attributes_behave_as_they_do_live: r#"
        echo a > /srv/f; setfattr -n user.one -v 1 /srv/f;
        cp /usr/bin/true /srv/prog; setcap cap_net_raw+ep /srv/prog
        setfacl -m u:65534:rw /srv/f; echo b > /srv/fixed; chattr +i /srv/fixed
        setfacl -d -m u:65534:rwx /srv; setfacl -m u:65534:rx /
        same 'cd /; getfacl -n . srv/f srv; getfattr -d -m - --absolute-names srv/f; getcap srv/prog; lsattr srv/fixed'
        inside 'setfattr -n user.three -v 3 /srv/f; echo more >> /srv/f
                [ $(getfattr --only-values -n user.one --absolute-names /srv/f) = 1 ]
                getfacl -n /srv/f 2>/dev/null | grep -q user:65534:rw
                ! echo x > /srv/fixed; chattr -i /srv/fixed; echo x > /srv/fixed
                touch /srv/own; chattr +i /srv/own; ! rm /srv/own
                setcap cap_chown+ep /srv/prog; mkdir -p /srv/sub; getfacl -n /srv/sub | grep -q user:65534' 2>/dev/null
        [ "$(cat /srv/fixed)" = b ]
        chattr -i /srv/fixed
    "#;

    nodes_can_be_made: r#"
        inside 'mknod /srv/null c 1 3; mknod /srv/disk b 8 0; mkfifo /srv/p; [ -c /srv/null ]; [ -b /srv/disk ]
                stat -c %t:%T /srv/null | grep -qx 1:3'
    "#;

    shared_memory_and_terminals_are_its_own: r#"
        echo live > /dev/shm/live-$$; trap "rm /dev/shm/live-$$" EXIT
        inside '[ -z "$(ls -A /dev/shm)" ]; echo x > /dev/shm/x; [ -c /dev/pts/ptmx ]
                for d in null zero full random urandom; do [ -c /dev/$d ]; done
                echo x > /dev/null; [ $(head -c 3 /dev/zero | wc -c) = 3 ]; echo x > /dev/stdout
                script -qc "tty" /dev/null | grep -q /dev/pts/' >/dev/null
        [ ! -e /dev/shm/x ]
    "#;

    the_scratch_directory_is_not_seen_inside: r#"
        inside '[ -z "$(ls -A /var/lib/isconf/scratch)" ]; ! touch /var/lib/isconf/scratch/x
                [ -z "$(ls -A /run /tmp | grep isconf)" ]; ! stat /run/.isconf' 2>/dev/null
    "#;

    a_hidden_name_that_somebody_took_keeps_nothing_away: r#"
        mkdir /tmp/.isconf; touch /tmp/.isconf/theirs; chown 65534 /tmp/.isconf
        inside 'echo x > /tmp/x; [ "$(ls -A /tmp | grep isconf)" = .isconf ]; [ -e /tmp/.isconf/theirs ]' 2>/tmp/err
        ! grep -q 'read-only' /tmp/err
        [ ! -e /tmp/x ]; [ "$(ls -A /tmp | grep isconf)" = .isconf ]
        rm -r /tmp/.isconf
    "#;

    sigterm_leaves_nothing: r#"
        dry-run bash -c 'trap "" INT; sleep 1000 & sleep 1001' 2>/tmp/err & pid=$!
        until [ "$(pgrep -cx sleep)" = 2 ]; do :; done
        kill -TERM $pid; rc=0; wait $pid || rc=$?
        [ $rc = 143 ]; grep -q 'interrupted by signal 15' /tmp/err
    "#;

    a_second_sigterm_ends_what_ignores_the_first: r#"
        dry-run perl -e '$SIG{TERM}="IGNORE"; exec "sleep", "1000"' 2>/tmp/err & pid=$!
        until pgrep -x sleep >/dev/null; do :; done
        kill -TERM $pid; kill -TERM $pid || true
        until ! pgrep -x sleep >/dev/null; do kill -TERM $pid || true; done
        rc=0; wait $pid || rc=$?
        # A signal that comes while we clean up takes effect when we are done.
        [ $rc = 137 ] || [ $rc = 143 ]
    "#;

    ctrl_c_leaves_nothing: r#"
        # script(1) gives a terminal; the interrupt character goes to the foreground group.
        running() { pgrep -x sleep >/dev/null; }
        rc=0
        { until running; do :; done; printf '\003'; while running; do :; done; } |
            script -qec 'dry-run sleep 1000' /tmp/out >/dev/null || rc=$?
        [ $rc = 130 ]; grep -q 'interrupted by signal 2' /tmp/out
    "#;

    after_kill_9_the_next_start_cleans_up: r#"
        dry-run bash -c 'touch /etc/x /tmp/x; chattr +i /etc/x; sleep 1000' & pid=$!
        until pgrep -x sleep >/dev/null; do :; done
        [ -n "$(ls -A /var/lib/isconf/scratch)" ]; [ -e /tmp/.isconf ]
        kill -9 $pid; wait $pid || true
        until ! pgrep -x sleep >/dev/null; do :; done
        until [ "$(grep -c overlay /proc/mounts)" = 0 ]; do :; done
        dry-run true 2>/tmp/err
        grep -q 'swept up' /tmp/err
    "#;

    one_entry_sees_what_the_one_before_it_did: r#"
        dry-run sh -c 'echo 1 > /srv/a; sleep 1000 & mount x /mnt' \
            --then sh -c 'cat /srv/a; ! pgrep -x sleep; echo 2 >> /srv/a; touch /srv/b; mount y /opt' \
            --then sh -c '[ "$(cat /srv/a)" = "$(printf "1\n2")" ]' >/tmp/out 2>/tmp/err
        [ "$(cat /tmp/out)" = 1 ]
        [ "$(grep -cx 'Added /srv/a' /tmp/err)" = 1 ]; [ "$(grep -cx 'Modified /srv/a' /tmp/err)" = 1 ]
        [ "$(grep -c 'effect:.*Mount' /tmp/err)" = 2 ]
    "#;

    a_volume_without_room_for_a_scratch_directory_is_read_only: r#"
        mount -t tmpfs -o nr_inodes=2 tmpfs /mnt; touch /mnt/f; mkdir /srv/deep; mount -t tmpfs tmpfs /srv/deep
        inside '! touch /mnt/g; touch /srv/deep/g' 2>/tmp/err
        grep -q 'not covered: /mnt: read-only: the filesystem cannot hold' /tmp/err
        [ ! -e /srv/deep/.isconf ]; [ ! -e /srv/deep/g ]
    "#;

    an_interactive_shell_has_its_jobs_and_gives_the_terminal_back: r#"
        running() { pgrep -x sleep >/dev/null; }
        rc=0
        { echo 'sleep 1000'; until running; do :; done; printf '\003'; while running; do :; done
          echo 'echo status $?; touch /srv/made; ls /srv'; echo 'exit 3'
        } | script -qec 'bash -c "dry-run bash --norc -i; echo then \$?; tty; read -r line < /dev/tty || true"' /tmp/out >/dev/null || rc=$?
        grep -q 'status 130' /tmp/out; grep -q made /tmp/out; grep -q 'then 3' /tmp/out
        ! grep -q 'no job control' /tmp/out
    "#;

    two_at_once_do_not_disturb_each_other: r#"
        dry-run bash -c 'touch /srv/one; sleep 1000' 2>/dev/null & pid=$!
        until pgrep -x sleep >/dev/null; do :; done
        dry-run sh -c '[ ! -e /srv/one ]; touch /srv/two'
        kill $pid; wait $pid || true
    "#;

    deep_and_immutable_trees_are_removed: r#"
        dry-run perl -e 'chdir "/srv"; for (1..1500) { mkdir "d"; chdir "d" or die } open F, ">f"; close F' 2>/dev/null
        dry-run bash -c 'mkdir /srv/i; touch /srv/i/f; chattr +i /srv/i/f /srv/i; mkdir /srv/a; chattr +a /srv/a; mkdir -m 0 /srv/n' 2>/dev/null
    "#;
}

#[test]
fn a_root_in_memory_is_covered_too() {
    if is_root() {
        let script = [
            PRELUDE,
            "inside 'echo x > /new; echo y >> /etc/passwd'; [ ! -e /new ]; clean",
        ];
        Host::new(Disk::Memory).check(&script.concat());
    }
}

#[test]
fn a_live_overlay_has_its_scratch_elsewhere() {
    if !is_root() {
        return;
    }
    let script = r#"
        mkdir /mnt/{l,u,w,m}; cp -a /etc /var /root /srv /home /opt /mnt/l/ ; mkdir -p /mnt/l/{usr,proc,sys,dev,run,tmp,mnt,old}
        for l in bin sbin lib lib64; do cp -a /$l /mnt/l/ 2>/dev/null || true; done
        mount -t overlay -o lowerdir=/mnt/l,upperdir=/mnt/u,workdir=/mnt/w overlay /mnt/m
        cd /mnt/m; for d in usr proc sys dev run; do mount --rbind /$d $d; done; mount -t tmpfs tmpfs tmp
        pivot_root . old; umount -l /old; cd /
        dry-run bash -eu -c 'echo x > /new; echo y >> /etc/passwd; mv /srv /srv2' 2>/tmp/err
        [ ! -e /new ]; [ -d /srv ]; [ -z "$(find /tmp /run -name .isconf)" ]
        umount -l /tmp /run; mount -t ramfs r /run; mount -t ramfs r /tmp
        if dry-run true 2>/tmp/err; then exit 1; fi
        grep -q 'is itself an overlay' /tmp/err
    "#;
    Host::new(Disk::Ext4).check(script);
}
