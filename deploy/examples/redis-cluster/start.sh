#!/bin/sh
# Starts one node of the cluster. A node that comes with an empty volume to an address the cluster already knows (its host
# was lost) is a stranger to the others: it waits until they have given up the old holder of the address, so that a
# replica is promoted first, then takes the old one's place as a replica.
me=172.38.0.1{{.Task.Slot}}
peers="172.38.0.11 172.38.0.12 172.38.0.13 172.38.0.14 172.38.0.15 172.38.0.16"

ask() { # PEER COMMAND…
  peer=$1
  shift
  timeout 2 redis-cli -h "$peer" "$@" 2>/dev/null
}

# The first other node that belongs to a working cluster.
working_peer() {
  for peer in $peers; do
    [ "$peer" = "$me" ] && continue
    if ask "$peer" cluster info | grep -q cluster_state:ok; then
      echo "$peer"
      return
    fi
  done
}

# Whether any peer still counts on the node that had this address.
still_expected() {
  for peer in $peers; do
    [ "$peer" = "$me" ] && continue
    ask "$peer" cluster nodes | grep " $me:6379" | grep -vq -e fail -e noaddr && return 0
  done
  return 1
}

take_old_place() {
  until ask 127.0.0.1 ping | grep -q PONG; do sleep 0.2; done
  for attempt in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
    peer=$(working_peer)
    if [ -n "$peer" ]; then
      myself=$(ask 127.0.0.1 cluster myid)
      for lost in $(ask "$peer" cluster nodes | grep " $me:6379" | grep -v "^$myself" | cut -d' ' -f1); do
        for other in $peers; do [ "$other" = "$me" ] || ask "$other" cluster forget "$lost" >/dev/null; done
      done
      ask 127.0.0.1 cluster meet "$peer" 6379 >/dev/null
      sleep 1
      # The master with the fewest replicas.
      master=$(ask "$peer" cluster nodes | awk '
        $3 ~ /master/ && $3 !~ /fail/ && NF > 8 { count[$1] += 0 }
        $3 ~ /slave/ && $3 !~ /fail/ { count[$4] += 1 }
        END { for (id in count) if (best == "" || count[id] < count[best]) best = id; print best }')
      [ -n "$master" ] && ask 127.0.0.1 cluster replicate "$master" | grep -q OK && return
    fi
    sleep 1
  done
}

# Whether there is a cluster at all: before it is made, every node knows only itself.
cluster_exists() {
  for peer in $peers; do
    [ "$peer" = "$me" ] && continue
    ask "$peer" cluster info | grep -q 'cluster_known_nodes:[2-9]' && return 0
  done
  return 1
}

newcomer=
if [ ! -s /data/nodes.conf ] && cluster_exists; then
  newcomer=yes
  touch /tmp/waiting
  for second in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
    still_expected || break
    sleep 1
  done
  rm -f /tmp/waiting
fi

redis-server /etc/redis/redis.conf &
server=$!
trap 'kill -TERM "$server"' TERM INT
[ -z "$newcomer" ] || take_old_place &
while kill -0 "$server" 2>/dev/null; do
  wait "$server"
  code=$?
done
exit "${code:-1}"
