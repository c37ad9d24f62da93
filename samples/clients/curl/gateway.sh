#!/bin/sh
# Finds the studies of a patient, or moves them. README.md in the parent folder describes
# the command line and the exit statuses. Requires curl and jq.
set -u

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'echo stopped >&2; exit 130' INT

# In a file, because other users can read the arguments of a process.
printf '%s' "${GATEWAY_API_KEY:+Authorization: Bearer $GATEWAY_API_KEY}" >"$work/key"

complain() {
    printf '%s\n' "$*" >&2
}

usage() {
    complain 'usage: find     http[s]://GATEWAY PACS PATIENT'
    complain '       retrieve http[s]://GATEWAY PACS PATIENT DESTINATION [STUDY...]'
    complain 'PACS is the name of a PACS that the gateway knows, or AETITLE@HOST:PORT.'
    exit 2
}

# post ROUTE ACCEPT sends $work/request. It writes the response to standard output and its
# header to $work/header. If there is no response, $work/error says why.
post() {
    : >"$work/header"
    curl -sSN "$gateway/$1" -D "$work/header" --suppress-connect-headers -H 'Content-Type: application/json' -H "Accept: $2" \
        -H "@$work/key" --data-binary "@$work/request" 2>"$work/error" || { [ $? != 3 ] || : >"$work/malformed"; return 8; }
}

# header NAME prints a header of the response.
header() {
    tr -d '\r' <"$work/header" | awk -v name="$1:" 'tolower($1) == name { $1 = ""; print substr($0, 2) }'
}

# is CONDITION succeeds if $work/answer is one JSON document that meets the condition.
is() {
    [ "$(jq "$1" "$work/answer" 2>/dev/null)" = true ]
}

not_the_gateway() {
    complain "the reply is not from the gateway: $(head -n 1 "$work/header")"
    return 1
}

# problem prints the problem document in $work/answer and returns its exit status.
problem() {
    is '.code | type == "string"' || { not_the_gateway; return; }
    jq -r '"\(.detail) (\(.code))",
        (.errors // [] | .[] | "  \(.pointer) \(.detail)"),
        (.warnings // [] | .[] | "  \(.message) (\(.code))"),
        (.dicom // empty | "  " + ([.step, .status, .meaning, .result, .source, .reason | values] | join(" "))),
        (.hint // empty | "  " + .),
        (.correlation_id // empty | "  correlation ID " + .)' "$work/answer" >&2
    case $(jq -r '"\(.status) \(.code)"' "$work/answer") in
    *' no_study_matched') return 4 ;; # another 404 is a wrong path
    400* | 401* | 403*) return 5 ;;
    429* | 503*) return 7 ;;
    502*) return 6 ;;
    esac
    return 1
}

# failed TYPE succeeds if the response has this content type. Otherwise it prints the error
# and returns its exit status.
failed() {
    [ ! -e "$work/malformed" ] || usage
    [ -s "$work/header" ] || { cat "$work/error" >&2 && return 8; }
    case "$(awk 'NR == 1 { print $2 }' "$work/header") $(header content-type)" in
    "200 $1"*) return 0 ;;
    *' application/problem+json'*) problem ;;
    *) not_the_gateway ;;
    esac
}

# with_retries COMMAND... makes up to three attempts while the gateway is busy.
with_retries() {
    "$@" && return 0
    status=$?
    for _ in 1 2; do
        [ $status = 7 ] || break
        wait=$(header retry-after) # events have none
        complain "retrying in ${wait:-5}s"
        sleep "${wait:-5}"
        "$@" && return 0
        status=$?
    done
    return $status
}

describe='"\(.StudyDate) \(.ModalitiesInStudy | join(",")) \(.StudyDescription)"'

warn() {
    jq -r '.warnings[] | "warning: \(.message) (\(.code))"' >&2
}

find_studies() {
    post q application/json >"$work/answer" || { [ ! -e "$work/malformed" ] || usage; cat "$work/error" >&2 && return 8; }
    failed application/json || return
    is '[.study_details, .warnings | type == "array"] | all' || { not_the_gateway; return; }
    warn <"$work/answer"
    jq -r ".study_details[] | \"\\(.StudyInstanceUID)  \\($describe)\"" "$work/answer" || not_the_gateway
}

# retrieve prints the progress of each study and writes the studies to retry to $work/retry.
retrieve() {
    post qr text/event-stream | tee "$work/answer" | jq --unbuffered -Rnrj 'foreach (inputs | select(startswith("data: ")) | .[6:] | fromjson) as $data (
        {};
        if $data | has("study_details") and (has("message") | not) then
            .studies = ($data.study_details | map({(.StudyInstanceUID): '"$describe"'}) | add) | .line = ""
        elif $data | has("study_index") then
            # Each counter may be null, because a PACS need not send it.
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
    shown=$?
    failed text/event-stream || return
    [ $shown = 0 ] || { not_the_gateway; return; }
    sed -n 's/^data: //p' "$work/answer" >"$work/events"
    head -n 1 "$work/events" | warn || { not_the_gateway; return; }
    case $(sed -n 's/^event: //p' "$work/answer" | tail -n 1) in
    result)
        tail -n 1 "$work/events" | jq '[.retrievals[] | select(.status != "ok") | .StudyInstanceUID]' >"$work/retry" || not_the_gateway
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

# retrieve_twice retries the studies that did not arrive completely, once.
retrieve_twice() {
    with_retries retrieve || return
    [ "$(jq length "$work/retry")" != 0 ] || return 0
    complain "studies to retry: $(jq length "$work/retry")"
    jq --slurpfile retry "$work/retry" '.study_instance_uids = $retry[0]' "$work/request" >"$work/narrower"
    mv "$work/narrower" "$work/request"
    with_retries retrieve || return
    [ "$(jq length "$work/retry")" != 0 ] || return 0
    complain 'not everything was moved'
    return 3
}

case ${1-}:$# in
find:4 | retrieve:[5-9] | retrieve:[1-9]?*) ;;
*) usage ;;
esac
command=$1 gateway=${2%/} pacs=$3
address=${pacs##*@} called=${pacs%@*}
host=${address%:*} port=${address##*:}
case $gateway,$pacs in
http://?*,?*@?*:*[0-9] | https://?*,?*@?*:*[0-9]) ;;
http://?*,*[!a-z0-9-]* | https://?*,*[!a-z0-9-]*) usage ;;
http://?*,[a-z0-9]* | https://?*,[a-z0-9]*) port=0 ;; # a name
*) usage ;;
esac
shift 3
jq -n --arg pacs "$pacs" --arg host "$host" --argjson port "$port" --arg called "$called" --arg calling "${CALLING_AE_TITLE-GATEWAY}" '
if $port == 0 then {pacs: $pacs} else {pacs_ip: $host, pacs_port: $port, pacs_ae_title: $called, c_find_ae_title: $calling} end
  + {patient_id: $ARGS.positional[0]}
  + if $ARGS.positional[1] then {c_move_ae_title: $ARGS.positional[1]} else {} end
  + if $ARGS.positional[2] then {study_instance_uids: $ARGS.positional[2:]} else {} end' --args "$@" >"$work/request" 2>/dev/null || usage

if [ "$command" = find ]; then
    with_retries find_studies
else
    retrieve_twice
fi
