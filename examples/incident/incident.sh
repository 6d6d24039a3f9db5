#!/usr/bin/env bash
# An incident from alert to finding, by hand: the same calls that an agent makes, in the production of the demo.
#
#   bailiwick demo --serve --folder /tmp/shop        # in one terminal
#   examples/incident/incident.sh /tmp/shop          # in another
#
# Needs jq. `bailiwick call` writes data to standard output and the same for people to standard error; its exit code says
# how a call ended: 0 done, 3 denied, 4 approval required.
set -euo pipefail

folder=${1:?the folder of a running \`bailiwick demo --serve --folder FOLDER\`}
bailiwick=${BAILIWICK:-bailiwick}
config=$folder/bailiwick.toml

say() { printf '\n== %s\n' "$*"; }
call() { "$bailiwick" call "$@" --config "$config"; }
# For calls that are refused: shows the refusal, and fails when the call ends otherwise.
refused() {
    local right=$1 code=0
    shift
    call "$@" >/dev/null || code=$?
    [[ $code == "$right" ]] || { echo "exit code $code, not $right: $*" >&2; exit 1; }
}

say "What fires?"
alerts=$(call observability list_alerts state=active)
alert=$(jq -er '.result | .columns as $names | [.rows[0], $names] | transpose | map({key: .[1], value: .[0]}) | from_entries | .alert' <<<"$alerts")

say "Which requests fail, and since when?"
call observability query_metrics window=2h \
    query='sum by (service) (rate(http_requests_total{code=~"5.."}[5m]))' >/dev/null

say "What changed meanwhile?"
commits=$(call code list_commits window=2h)
commit=$(jq -er '.result.rows[0][0]' <<<"$commits")
call code compare_revisions revisions="$commit~1..$commit" >/dev/null

say "What may I do here?"
call observability show_authority tool=silence_alert >/dev/null

say "Silence $alert for an hour: a person confirms that"
matchers=$(jq -cn --arg alert "$alert" '["alertname=\"\($alert)\""]')
refused 4 observability silence_alert matchers="$matchers" duration_minutes=60 reason='somebody looks into it'

say "Silence $alert until tomorrow: a rule forbids that, and says what to do instead"
refused 3 observability silence_alert matchers="$matchers" duration_minutes=720 reason='it is late and it goes on'

say "Everything is on record"
"$bailiwick" audit tail -n 8 --config "$config"
"$bailiwick" audit verify --config "$config"
