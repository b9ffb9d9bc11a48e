"""How results look, on the page of the server and in the file that it gives."""

from hf_ext.tasks.entities.page import MARK_STYLE

STYLE = (
    MARK_STYLE
    + """\
.hx-result, .hx-result * { box-sizing: border-box; }
.hx-result { overflow-wrap: anywhere; --line: #8885; --soft: #8881; --front: #2563eb; }
.hx-result + .hx-result { border-top: 1px solid var(--line); margin-top: 1.2rem; padding-top: 1.2rem; }
.hx-text { white-space: pre-wrap; font-size: 1.05rem; line-height: 2.3; padding: .1rem .8rem; margin: 0 0 .7rem;
           border-inline-start: 3px solid var(--line); }
.hx-question { font-weight: 600; margin: .4rem 0; }
.hx-written { white-space: pre-wrap; font-size: 1.05rem; line-height: 1.8; padding: .6rem .9rem; border-radius: 8px;
              background: var(--soft); }
.hx-count { opacity: .7; font-size: .9rem; margin: .3rem 0; }
.hx-wide { overflow-x: auto; max-width: 100%; }
/* Gradio draws borders around all tables. */
.hx-result table, .hx-result tbody, .hx-result tr { border: 0 !important; margin: 0; }
.hx-table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
.hx-table th, .hx-table td { padding: .25rem .7rem; text-align: start; border: 0;
                             border-bottom: 1px solid var(--line); white-space: nowrap; }
.hx-table td { max-width: 28rem; overflow: hidden; text-overflow: ellipsis; }
.hx-table th { font-weight: 600; color: color-mix(in oklab, currentColor 70%, transparent); }
.hx-long { overflow: auto; max-height: 32rem; max-width: 100%; width: fit-content; }
.hx-long th { position: sticky; top: 0; background: var(--hx-back, Canvas); }
.hx-table .unknown, .hx-pieces .unknown { background: #dc262633; }
.hx-cards { display: flex; flex-wrap: wrap; gap: .7rem; }
.hx-card { border: 1px solid var(--line); border-radius: 8px; padding: .5rem .8rem; }
.hx-bars { border-collapse: collapse; width: 100%; max-width: 44rem; font-variant-numeric: tabular-nums; }
.hx-bars td { padding: .25rem .5rem; border: 0; vertical-align: middle; }
.hx-bars .name { max-width: 24rem; }
.hx-bars .bar { width: 45%; }
.hx-bars .bar div { background: var(--front); min-width: 1px; height: .9rem; border-radius: 3px; opacity: .75; }
.hx-choices { padding-inline-start: 1.6rem; list-style: decimal; }
.hx-choices li { padding: .2rem .4rem; }
.hx-choices .chosen { background: #16a34a2e; border-radius: 6px; font-weight: 600; }
.hx-pieces { line-height: 2.2; font-size: 1.05rem; white-space: pre-wrap; margin: 0 0 .7rem; }
.hx-pieces span { border-radius: 4px; padding: .15em .1em; margin: 0 1px; outline: 1px solid var(--line); }
.hx-pieces .odd { background: #2563eb26; }
.hx-pieces .even { background: #f59e0b26; }
.hx-arcs { height: auto; min-width: 27rem; max-width: 100%; color: inherit; }
.hx-arcs text { fill: currentColor; }
.hx-arcs .words { font-size: 18px; white-space: pre; }
.hx-arcs .name { font-size: 12px; text-anchor: middle; paint-order: stroke;
                 fill: color-mix(in oklab, hsl(var(--hue) 70% 45%), currentColor 35%);
                 stroke: var(--hx-back, Canvas); stroke-width: 5px; stroke-linejoin: round; }
.hx-arcs .place { fill: #8883; }
.hx-arcs .arc { fill: none; stroke: hsl(var(--hue) 60% 50%); stroke-width: 1.5; }
.hx-arcs .slot .arc { stroke-dasharray: 4 3; }
.hx-arcs .head { fill: hsl(var(--hue) 60% 50%); }
.hx-heat { max-width: none; }
.hx-heat text { font-size: 13px; fill: currentColor; }
.hx-heat .row { text-anchor: end; }
.hx-heat rect { fill: color-mix(in oklab, #8882, #1d4ed8 calc(100% * var(--score))); }
.hx-heat .found { stroke: #f97316; stroke-width: 2; }
@media (max-width: 40rem) { .hx-table { font-size: .85rem; } .hx-table th, .hx-table td { padding: .25rem .4rem; } }
.hx-error { border: 1px solid #dc2626; border-inline-start-width: 5px; border-radius: 8px; background: #dc262614;
            padding: .6rem .9rem; margin: 0; overflow-wrap: anywhere; }
"""
)
"""The style sheet of what `hf_ext.web` renders."""
