"""What all pages share: template tags, rendering a page or its partial, paging."""
