# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# What came of guest/aarch64_attach.sh. To be sourced by aarch64.sh, with aarch64_ovc.sh's `says`.
attach_judged() {
  says static_attach 2 'is linked statically: it has no loader'
  says stacks 0 '^redis-server \(pid [0-9]+\): [0-9]+ threads, .*stopped for ' '^thread [0-9]+ redis-server, in epoll_pwait$' \
    '^  epoll_pwait\+0x[0-9a-f]+ \(libc\.so\.6\)' '^  aeMain\+0x[0-9a-f]+ \(redis-server\)' '^  main\+0x' '^  _start\+0x'
  says attach 0 '^redis-server \(pid [0-9]+\) is recorded from now on, in /ramfs/attached\.ovc$'
  ! grep -E 'mappings are not known|known in part' attach.out || fail "attach: not all is known"
  ! cmp -s code.attached <(head -n 1 code) || fail "attach: nothing was changed in libc: then nothing can be seen"
  says attached_why 1 '^fork refused with ENOMEM' 'asked by +(_Fork <- fork <- )?redisFork <- rdbSaveBackground <- bgsaveCommand' 'cause +commit limit reached' 'charge +[0-9,]+ kB over '
  says detach 0 'is no longer recorded'
  [[ $(sort -u code | wc -l) == 1 && $(wc -l <code) == 3 ]] || { cat code >&3; fail "libc's code is not as it was"; }
  [[ $(<some) == value && $(<load.status) == 0 ]] || { cat load >&3; fail "redis under load"; }
  ! grep -iE 'error|refused' load || fail "a request failed"
  says many_stacks 0 '^many_threads \(pid [0-9]+\): 10 threads, .*stopped for ' '^  main\+0x[0-9a-f]+ \(many_threads\)' '^  patient\+0x'
  says many_attach 0 'malloc and its family: [1-9][0-9]* pointers? to them in its modules changed'
  says many_detach 0 'is no longer recorded'
  says many_stats 0 'malloc +[1-9]'
  for name in many hasty; do
    [[ $(<$name.status) == 0 ]] || { cat $name.out >&3; fail "many_threads noticed"; }
    finds ' all right$' $name.out
  done
  cat rounds
  # One that makes no round stands there with why.
  [[ $(grep -cE '^(load|threads|killed): [1-9][0-9]* rounds, .*: $' rounds) == 3 ]] || fail "rounds of ovc attach and ovc detach"
  echo "ovc attach killed $(wc -l <killed) times of 20"
}
