"""The usual questions in SQL, for a query; docs/questions.md has them with their answers."""

ABOUT_ONE = (  # title, and SQL for query {q}
    (
        "Which explanations keep most of the prediction with the fewest edges?",
        "SELECT place, target, rank, size, round(value, 3) AS fdl_minus\n"
        "FROM sxq.best('fdl-', of_query := {q}, k := 20);",
    ),
    (
        "Which explanation is the best compromise for each target?",
        "SELECT target, rank, round(distance, 2) AS distance\nFROM sxq.knee({q}) ORDER BY target;",
    ),
    (
        "Which classes of nodes make up the explanations of a class?",
        "SELECT prediction, label, nodes, round(share, 2) AS share\n"
        "FROM sxq.label_mix({q}) ORDER BY prediction, label;",
    ),
    (
        "Which edges recur in the explanations of many targets?",
        "SELECT src, dst, explanations, targets\n"
        "FROM sxq.recurring_edges({q}) ORDER BY explanations DESC, src, dst;",
    ),
    (
        "How good are the answers, by the indicators of the literature?",
        "SELECT query_id, round(avg(nipf), 2) AS nipf, round(avg(nigd), 2) AS nigd,\n"
        "       round(avg(hypervolume), 2) AS hypervolume, round(avg(coverage), 2) AS coverage\n"
        "FROM sxq.indicators GROUP BY query_id ORDER BY query_id;",
    ),
    (
        'For which targets is "factual" weak evidence?',
        "SELECT target, prediction, round(p_empty, 3) AS p_empty\n"
        "FROM sxq.targets WHERE query_id = {q} AND self_sufficient ORDER BY ordinal;",
    ),
    (
        "Which targets would change class if they lost a single unit?",
        "SELECT target, rank, round(raw['fdl+'], 2) AS fdl_plus\n"
        "FROM sxq.explanations WHERE query_id = {q} AND counterfactual AND size = 1\n"
        "ORDER BY fdl_plus DESC, target;",
    ),
    (
        "Which explanation should I look at first, and what is each of its edges worth?",
        "SELECT e.target, rank, src, dst, round(worth_kept, 2) AS kept,\n"
        "       round(worth_removed, 2) AS removed, needed\n"
        "FROM sxq.explanations e JOIN sxq.explanation_edges USING (explanation_id)\n"
        "WHERE query_id = {q} AND recommended ORDER BY e.target, kept DESC;",
    ),
    (
        "Which edges and nodes matter in the whole answer?",
        "SELECT target, kind, src, dst, members, round(score, 2) AS score\n"
        "FROM sxq.unit_scores({q}) ORDER BY target, score DESC, src, dst;",
    ),
    (
        "For how many targets is there a counterfactual, and how small is it?",
        "SELECT k, round(factual, 2) AS factual, round(counterfactual, 2) AS counterfactual,\n"
        "       round(found, 2) AS found, round(size, 2) AS size\n"
        "FROM sxq.counterfactuals({q}) WHERE k <= 10;",
    ),
)


def questions(query_id: int) -> list[dict[str, str]]:
    """The questions about a stored query, each with its SQL."""
    return [{"title": title, "sql": sql.format(q=query_id)} for title, sql in ABOUT_ONE]
