#!/bin/sh
# Finds the studies of a patient, or has them moved. README.md beside the folder
# tells the command line and the exit statuses. Needs curl and jq.
set -u

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'echo stopped >&2; exit 130' INT

complain() {
    printf '%s\n' "$*" >&2
}

usage() {
    complain 'usage: find     GATEWAY AETITLE@HOST:PORT PATIENT'
    complain '       retrieve GATEWAY AETITLE@HOST:PORT PATIENT DESTINATION [STUDY...]'
    exit 2
}

# post ROUTE ACCEPT sends $work/request; the answer goes to standard output, its
# header to $work/header. Without one, curl has said why.
post() {
    : >"$work/header"
    curl -sSN "$gateway/$1" -D "$work/header" -H 'Content-Type: application/json' -H "Accept: $2" \
        ${GATEWAY_API_KEY:+-H "Authorization: Bearer $GATEWAY_API_KEY"} --data-binary "@$work/request" 2>"$work/error"
}

header() { # NAME
    tr -d '\r' <"$work/header" | awk -v name="$1:" 'tolower($1) == name { $1 = ""; print substr($0, 2) }'
}

# problem tells what $work/answer says that went wrong, and returns the exit status of it.
problem() {
    jq -r '"\(.detail) (\(.code))",
        (.errors // [] | .[] | "  \(.pointer) \(.detail)"),
        (.warnings // [] | .[] | "  \(.message) (\(.code))"),
        (.dicom // empty | "  " + ([.step, .status, .meaning, .result, .source, .reason | values] | join(" "))),
        (.correlation_id // empty | "  correlation ID " + .)' "$work/answer" >&2
    case $(jq .status "$work/answer") in
    400 | 401 | 403) return 5 ;;
    404) return 4 ;;
    429 | 503) return 7 ;;
    502) return 6 ;;
    esac
    return 1
}

# failed tells what stands in place of an answer of the type wanted; 0 where that is there.
failed() { # TYPE
    type=$(header content-type)
    case $type in
    "$1"*) return 0 ;;
    application/problem+json*) problem ;;
    '') cat "$work/error" >&2 && return 8 ;;
    *) complain "not an answer of the gateway: $(head -n 1 "$work/header")" && return 1 ;;
    esac
}

# patiently tries three times where the gateway has its hands full.
patiently() {
    "$@" && return 0
    status=$?
    for _ in 1 2; do
        [ $status = 7 ] || break
        wait=$(header retry-after) # a stream does not tell
        complain "again in ${wait:-5}s"
        sleep "${wait:-5}"
        "$@" && return 0
        status=$?
    done
    return $status
}

about='"\(.StudyDate) \(.ModalitiesInStudy | join(",")) \(.StudyDescription)"'

warn() {
    jq -r '.warnings[] | "warning: \(.message) (\(.code))"' >&2
}

find_studies() {
    post q application/json >"$work/answer" || { cat "$work/error" >&2 && return 8; }
    failed application/json || return
    warn <"$work/answer"
    jq -r ".study_details[] | \"\\(.StudyInstanceUID)  \\($about)\"" "$work/answer"
}

# retrieve shows the progress of each study as it comes. The last event tells the
# outcome, and $work/again has the studies to ask for again.
retrieve() {
    post qr text/event-stream | tee "$work/answer" | jq --unbuffered -Rnrj 'foreach (inputs | select(startswith("data: ")) | .[6:] | fromjson) as $data (
        {};
        if $data | has("study_details") and (has("message") | not) then
            .studies = ($data.study_details | map({(.StudyInstanceUID): '"$about"'}) | add) | .line = ""
        elif $data | has("study_index") then
            # Each counter may be null: the PACS need not count.
            ([$data.completed, $data.failed, $data.warning] | add // 0) as $done
            | .line = "\r\(.studies[$data.StudyInstanceUID]): \($done)\(if $data.remaining then " of \($done + $data.remaining)" else "" end)"
        elif $data | has("dicom_status") then
            .line = "\r\(.studies[$data.StudyInstanceUID]): \($data.status)    \n"
        elif $data | has("message") then
            .line = "\($data.message)\n"
        else
            .line = "" # an error
        end;
        .line
    )'
    failed text/event-stream || return
    sed -n 's/^data: //p' "$work/answer" >"$work/events"
    head -n 1 "$work/events" | warn
    case $(sed -n 's/^event: //p' "$work/answer" | tail -n 1) in
    result)
        tail -n 1 "$work/events" | jq '[.retrievals[] | select(.status != "ok") | .StudyInstanceUID]' >"$work/again"
        ;;
    error)
        tail -n 1 "$work/events" >"$work/answer"
        problem
        ;;
    *)
        complain 'the stream was cut off: the outcome is unknown'
        return 8
        ;;
    esac
}

# retrieve_twice asks once more for the studies that did not arrive as a whole.
retrieve_twice() {
    patiently retrieve || return
    [ "$(jq length "$work/again")" != 0 ] || return 0
    complain "once more: $(jq length "$work/again")"
    jq --slurpfile again "$work/again" '.study_instance_uids = $again[0]' "$work/request" >"$work/narrower"
    mv "$work/narrower" "$work/request"
    patiently retrieve || return
    [ "$(jq length "$work/again")" != 0 ] || return 0
    complain 'not everything was moved'
    return 3
}

case ${1-}:$# in
find:4 | retrieve:[5-9] | retrieve:[1-9]?*) ;;
*) usage ;;
esac
command=$1 gateway=$2 pacs=$3
address=${pacs##*@} called=${pacs%@*}
host=${address%:*} port=${address##*:}
case $pacs in
?*@?*:*[0-9]) ;;
*) usage ;;
esac
shift 3
jq -n --arg host "$host" --argjson port "$port" --arg called "$called" --arg calling "${CALLING_AE_TITLE-GATEWAY}" '{
    pacs_ip: $host, pacs_port: $port, pacs_ae_title: $called, c_find_ae_title: $calling, patient_id: $ARGS.positional[0]
} + if $ARGS.positional[1] then {c_move_ae_title: $ARGS.positional[1]} else {} end
  + if $ARGS.positional[2] then {study_instance_uids: $ARGS.positional[2:]} else {} end' --args "$@" >"$work/request" 2>/dev/null || usage

if [ "$command" = find ]; then
    patiently find_studies
else
    retrieve_twice
fi
